"""The command line `fgmfn`: `main` lists the commands, every other module holds some and is imported when called."""
