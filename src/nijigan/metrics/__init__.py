"""Scores as functions of feature arrays, with their uncertainty."""
