"""Trainings that start from trained networks: a run or a pair."""
