"""Verdicts: a trained model's answer for adverts that are in no catalog, from a video to a line, a table or a page."""
