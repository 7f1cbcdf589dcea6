"""Labels that are probably wrong: what a task finds, ranked, as a file and as a page."""
