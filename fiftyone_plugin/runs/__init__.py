"""The mining runs of a dataset: records, saving, history and comparison."""
