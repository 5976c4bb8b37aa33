"""The task `heatmap`: finds one place in an image for each of a few named points."""
