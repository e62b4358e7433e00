"""The words for the colours of hair and eyes that people tag anime pictures with."""

HAIR = ("aqua", "black", "blonde", "blue", "brown", "gray", "green", "orange", "pink", "purple", "red", "white")
EYES = ("aqua", "black", "blue", "brown", "gray", "green", "orange", "pink", "purple", "red", "yellow")
VALUES = {"hair": HAIR, "eyes": EYES}
