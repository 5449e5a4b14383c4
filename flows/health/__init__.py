"""Health of a catalog and of the service that keeps it: what a person or a monitor should look at."""
