"""Five frames per ad: which moments, the pictures at those moments, and which ads are one ad uploaded twice."""
