"""Verdicts: a trained model's answer for ads that are in no catalog, from a video to a line, a table or a page."""
