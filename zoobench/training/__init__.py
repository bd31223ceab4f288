"""Training populations: every run of a chunk in one batched forward and backward pass. Needs torch."""
