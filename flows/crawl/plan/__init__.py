"""Plan of a crawl: its remaining cost, and the day on which it will be done."""
