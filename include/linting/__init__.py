"""Says what is wrong with a model's folder: file, line, and the nearest right thing."""
