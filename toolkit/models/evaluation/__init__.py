"""How good a model is: metrics, curves, plots, slices of the data, and thresholds; plain values, nothing is logged."""
