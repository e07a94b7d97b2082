"""Keeping the stores in order: what can be removed for good, and removing it."""
