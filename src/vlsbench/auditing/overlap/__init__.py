"""Measure A: what the queries of a benchmark tell about its images, from embeddings."""
