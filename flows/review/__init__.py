"""From an ad's sentiment to its settled label."""
