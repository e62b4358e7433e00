"""What to train: the recipe, its parts, the table of named ones."""
