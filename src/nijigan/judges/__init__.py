"""Judges of a generator: feature spaces, attribute readers, and the evaluation that uses them."""
