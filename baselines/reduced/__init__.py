"""Other representations behind the linear probe: principal components, UMAP, vectors of a saved encoder."""

from .reduced import EncodedPredictor, PCAPredictor, UMAPPredictor

__all__ = ["EncodedPredictor", "PCAPredictor", "UMAPPredictor"]
