"""Contact sheets: an ad's frames and words as one picture."""
