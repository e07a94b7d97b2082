"""What runs inside of a Bento: the scoring protocol over a loaded model. It needs `toolkit.models` and nothing above."""
