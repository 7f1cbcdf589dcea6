"""The way from a configuration to a champion."""
