"""The command line `fgmfn`: `main` lists the commands; the other modules define them and are imported on demand."""
