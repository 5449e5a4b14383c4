"""Errors of tables and releases; each message names the place and the remedy."""

from __future__ import annotations


class YtbAdsError(Exception):
    """Base of every error that the pipeline raises on purpose; a command prints it and ends with 1."""


class CatalogError(YtbAdsError):
    """A working table is missing, damaged, or was asked for something it cannot give."""


class PurgedError(CatalogError):
    """A version of a table was taken away with the table's history while it was being read; the newest is there."""


class StorageError(CatalogError):
    """The object store cannot be used: a wrong bucket, key or region, or no connection."""


class LockHeldError(CatalogError):
    """Another process is at work where only one may be."""


class ReleaseError(YtbAdsError):
    """A release cannot be written, found or trusted."""
