"""Comments to scores, and an ad's scores to its label."""
