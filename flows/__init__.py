"""Projects as Prefect flows: graph, environments, steps, compilation and launch."""
