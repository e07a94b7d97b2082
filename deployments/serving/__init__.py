"""What runs in a Bento: the scoring protocol over a loaded model; it needs `toolkit.models` and nothing above it."""
