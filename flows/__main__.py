"""`python -m flows` is `ytb-ads`."""

from flows.commands.main import main

main()
