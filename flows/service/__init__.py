"""The service: deployments and automations of a Prefect server for rebuilds, refreshes and trainings."""
