"""A dataset folder, from rows to the Hub: written, described, checked, published, served."""
