"""Contact sheets, and the provenance of a row: what is known of an ad to look at."""
