"""The Delta tables under `Catalog`: opened, changed by atomic commits, compared with what is left to do, purged."""
