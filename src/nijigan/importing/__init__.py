"""From pictures anywhere to a dataset of faces."""
