"""What people read about a prepared dataset."""
