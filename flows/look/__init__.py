"""Contact sheets of an ad, and the provenance of a row."""
