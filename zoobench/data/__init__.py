"""A dataset folder: its paths, its manifest, its rows and weights, on disk or on the Hub."""
