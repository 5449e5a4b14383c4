"""Ads from a folder as yt-dlp leaves it."""
