"""From difficulty to image scores, sample weights and repeats, and what the weights do."""
