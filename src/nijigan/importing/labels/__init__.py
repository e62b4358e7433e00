"""Find the labels of pictures in tables of any layout."""
