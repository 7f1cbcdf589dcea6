"""What the quickstart draws."""
