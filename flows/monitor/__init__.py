"""Changes since a model was trained: audiences over time beside its answers, and drift of its inputs."""
