"""Artifacts over the server: MLflow's proxy, streamed both ways."""
