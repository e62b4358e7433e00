"""Import pictures into a dataset of faces."""
