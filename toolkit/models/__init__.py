"""Model directories in the MLmodel format."""
