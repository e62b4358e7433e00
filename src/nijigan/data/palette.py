"""The artist's colours: one for every class of hair and eyes, and what an illustrator does to a colour."""

from colorsys import hsv_to_rgb

Colour = tuple[int, int, int]

HAIR: dict[str, Colour] = {
    "blonde": (247, 216, 124),
    "brown": (138, 88, 58),
    "black": (56, 52, 66),
    "blue": (78, 124, 220),
    "pink": (248, 156, 192),
    "purple": (146, 96, 204),
    "silver": (208, 212, 224),
    "green": (92, 180, 106),
    "red": (204, 52, 56),
    "orange": (242, 140, 54),
}
EYES: dict[str, Colour] = {
    "blue": (56, 124, 232),
    "brown": (142, 84, 46),
    "green": (52, 172, 92),
    "red": (214, 38, 52),
    "purple": (138, 72, 206),
    "yellow": (240, 190, 40),
    "pink": (250, 110, 170),
    "gray": (132, 138, 150),
}
WHITE: Colour = (255, 255, 255)
INK: Colour = (66, 40, 56)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour by hue (any number, one turn is 1), saturation and value, 0 to 1."""
    return _colour(*(255 * part for part in hsv_to_rgb(hue % 1, saturation, value)))


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with a share of `b`, 0 to 1."""
    return _colour(*(one + (other - one) * share for one, other in zip(a, b, strict=True)))


def shade(colour: Colour, depth: float) -> Colour:
    """A shadow of the colour, a little colder than it is: what an illustrator uses in place of black."""
    r, g, b = colour
    return _colour(r * (1 - 0.62 * depth), g * (1 - 0.72 * depth), b * (1 - 0.52 * depth))


def blush_shade(skin: Colour, depth: float) -> Colour:
    """A shadow of the skin, warmer than it is."""
    r, g, b = skin
    return _colour(r * (1 - 0.3 * depth), g * (1 - 0.62 * depth), b * (1 - 0.58 * depth))


def vary(colour: Colour, hue: float, tint: float, value: float) -> Colour:
    """A neighbour of the colour that a person would give the same name; three numbers in [-1, 1] say which."""
    r, g, b = (part * (1 + 0.05 * value) for part in colour)
    return _colour(r + 7 * hue, g + 6 * tint, b - 7 * hue)


def _colour(r: float, g: float, b: float) -> Colour:
    return min(255, max(0, round(r))), min(255, max(0, round(g))), min(255, max(0, round(b)))
