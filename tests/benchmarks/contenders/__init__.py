"""What serving is compared with. Each is a program of its own: `python -m benchmarks.contenders.NAME PORT MODEL …`."""
