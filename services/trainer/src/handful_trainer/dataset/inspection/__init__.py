"""What a file holds, without trusting its name."""
