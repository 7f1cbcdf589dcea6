"""What serving decides: which model answers, when it is swapped, what is refused. Knows no framework."""
