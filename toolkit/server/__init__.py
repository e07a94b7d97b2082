"""The HTTP server: MLflow's REST API, a typed API of our own, the web UI."""
