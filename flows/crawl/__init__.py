"""Sources of ads: each yields ads with their comments, and drops for items that are not ads."""
