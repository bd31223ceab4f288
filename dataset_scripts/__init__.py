"""One script per published dataset: builds it from scratch, card and manifest included."""
