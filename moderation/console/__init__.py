"""The moderator's pages: queue, grid, one case, and what they do. A door like the API."""
