"""Plugins: entry points by which other packages add kinds of things; what is built in registers the same way."""
