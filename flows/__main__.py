"""`python -m flows` is `ytb-ads`."""

from flows.cli import main

main()
