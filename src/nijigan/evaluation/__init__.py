"""Judging generators: features, scores with their uncertainty, and pages that explain them."""
