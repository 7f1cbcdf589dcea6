"""What every Handful service shares. See docs/architecture.md."""

__version__ = "0.2.0"
