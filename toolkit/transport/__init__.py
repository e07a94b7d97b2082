"""Requests to a toolkit server: addresses, connections that are kept, retries. Stores say what is asked for."""
