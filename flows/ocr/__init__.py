"""What a frame says: engines that read pictures, and the one place that defines a word."""
