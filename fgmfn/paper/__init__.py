"""The paper's tables and figures, one module and one command each: `fgmfn paper table4 | table5 | ...`."""
