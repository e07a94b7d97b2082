"""Flavors, one file each."""
