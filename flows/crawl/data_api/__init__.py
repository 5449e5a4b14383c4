"""The YouTube Data API: requests, quota, faults, and what an answer holds."""
