"""Parts that several baselines share; every mask is True, or 1, where a position is real."""
