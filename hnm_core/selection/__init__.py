"""Choose which mistakes are mined: the hardest within the cap and the quotas."""
