"""`python -m fgmfn`, which torchrun and accelerate launch can start."""

from __future__ import annotations

from fgmfn.commands.main import main

main()
