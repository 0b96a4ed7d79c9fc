"""Is the label wrong? Reviews by people, and the estimate that follows from them."""
