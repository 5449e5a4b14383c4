"""A trained model as a service: `ytb-ads serve`."""
