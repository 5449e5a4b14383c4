"""The page on which people judge ads; `annotation.web.app` makes it and serves it."""
