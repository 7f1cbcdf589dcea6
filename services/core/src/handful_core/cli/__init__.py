"""The `handful` command and the subcommands that need nothing but core."""
