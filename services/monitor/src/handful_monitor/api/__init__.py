"""What the monitor says over HTTP."""
