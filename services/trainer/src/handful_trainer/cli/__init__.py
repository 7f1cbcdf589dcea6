"""The trainer's subcommands of `handful`."""
