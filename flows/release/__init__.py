"""From labelled ads to a release: split by ad, balance the training rows, describe what came of it."""
