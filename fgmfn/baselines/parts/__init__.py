"""What several baselines are built of, one idea per file; every mask is True, or 1, where a position is real."""
