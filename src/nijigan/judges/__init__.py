"""Who judges a generator: feature spaces, attribute readers, the evaluation."""
