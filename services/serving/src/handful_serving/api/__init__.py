"""HTTP: requests to domain calls, answers and errors to JSON."""
