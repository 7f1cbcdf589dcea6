"""The graph of a package, what it knows of its limits, and whether it answers as its weights do."""
