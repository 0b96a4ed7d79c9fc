"""Pages of the reference that are read off the code, so that they cannot be behind it."""
