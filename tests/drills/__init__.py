"""Scripted failures of the service, on real servers with real workers."""
