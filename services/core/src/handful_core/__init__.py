"""What every Handful service shares. See docs/architecture.md."""

__version__ = "0.1.0"
