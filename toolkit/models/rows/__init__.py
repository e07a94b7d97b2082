"""Rows in files, read and written some at a time: CSV, JSON, JSON lines, Parquet."""
