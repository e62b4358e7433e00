"""Inversion: from a picture to the nearest face of a generator."""

STEPS = 300
"""Steps of gradient descent, if nothing else is asked for."""
