"""Rounds as files: votes and verdicts as CSV, Parquet or Label Studio's JSON, and votes back from them."""
