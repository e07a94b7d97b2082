"""MLflow's REST API: one module a noun."""
