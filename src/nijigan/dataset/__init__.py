"""Datasets of faces: the folder, its pixels and its labels."""
