"""The colour names of hair and eyes that are common in human tags of anime pictures."""

HAIR = ("aqua", "black", "blonde", "blue", "brown", "gray", "green", "orange", "pink", "purple", "red", "white")
EYES = ("aqua", "black", "blue", "brown", "gray", "green", "orange", "pink", "purple", "red", "yellow")
VALUES = {"hair": HAIR, "eyes": EYES}
