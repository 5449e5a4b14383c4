"""What has changed since a model was trained: audiences over time beside its answers, and drift of what it is given."""
