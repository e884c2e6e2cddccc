"""The leakage card of a benchmark, and the leaderboard of several."""
