"""Pictures into a faces dataset, and batches out of it."""
