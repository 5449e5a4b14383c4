"""The annotation's store in SQLite or PostgreSQL: people, rounds, and a log of events that is only ever added to."""

from annotation.store.event_log import Receipt, Store, Submission, default_location, open_store

__all__ = ["Receipt", "Store", "Submission", "default_location", "open_store"]
