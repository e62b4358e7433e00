"""Scores over arrays of features, with their uncertainty."""
