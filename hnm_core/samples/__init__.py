"""Save hard images with their mistakes drawn in, and a page that shows them."""
