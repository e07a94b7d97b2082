"""The kinds of places where a version can serve: one file each, found by name."""
