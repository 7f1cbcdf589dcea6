"""What a whole image shows."""
