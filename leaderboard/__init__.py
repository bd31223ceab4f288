"""The leaderboard: submissions are predictions, scores are recomputed from them, the page shows the results."""
