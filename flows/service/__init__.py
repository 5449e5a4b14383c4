"""The service: what a Prefect server is told, so that rebuilds, refreshes and trainings run by themselves."""
