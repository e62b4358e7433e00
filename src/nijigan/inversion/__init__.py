"""Inversion: from a picture to the nearest face of a generator."""
