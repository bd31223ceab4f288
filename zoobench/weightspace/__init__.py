"""Looking at weights: statistics, symmetries, perturbations, embeddings, pictures. Needs no torch."""
