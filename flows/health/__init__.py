"""Health checks of a catalog and of the service around it."""
