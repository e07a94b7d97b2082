"""Moving experiments and runs between stores: export to a folder, import from it and from MLflow's stores."""
