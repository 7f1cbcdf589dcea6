"""`python -m handful_core` is `handful`."""

from handful_core.cli.main import main

main()
