"""Videos from YouTube, one at a time, into the catalog's media folder."""
