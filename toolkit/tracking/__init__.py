"""Runs, metrics, parameters and tags: records, the store contract and its kinds."""
