"""What each script does: its options, its help and its exit codes. Plain Python, before anything is installed."""
