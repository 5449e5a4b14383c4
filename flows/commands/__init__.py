"""The command line `ytb-ads`: one module per group of commands, imported when a command of it is called."""
