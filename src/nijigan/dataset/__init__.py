"""A dataset of faces: its folder, its pixels, its labels."""
