"""From YouTube ads and their comments to a release, and from a release to a trained model."""
