"""The artist's colours: one for each value of hair and eyes, and functions that shade and vary them."""

from colorsys import hsv_to_rgb, rgb_to_hsv

Colour = tuple[int, int, int]

HAIR: dict[str, Colour] = {
    "blonde": (250, 222, 126),
    "brown": (142, 92, 62),
    "black": (58, 54, 68),
    "blue": (80, 128, 224),
    "pink": (250, 160, 196),
    "purple": (150, 100, 208),
    "silver": (212, 216, 228),
    "green": (96, 184, 112),
    "red": (208, 54, 58),
    "orange": (244, 142, 56),
}
EYES: dict[str, Colour] = {
    "blue": (58, 126, 236),
    "brown": (142, 84, 46),
    "green": (48, 172, 88),
    "red": (216, 36, 50),
    "purple": (138, 72, 210),
    "yellow": (242, 192, 40),
    "pink": (252, 112, 174),
    "gray": (132, 138, 150),
}
WHITE: Colour = (255, 255, 255)
INK: Colour = (66, 38, 54)
ROSE: Colour = (255, 88, 106)
LIPS: Colour = (168, 46, 62)
TONGUE: Colour = (246, 132, 138)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour from hue (any number; 1 is a full turn), saturation and value (0 to 1)."""
    return _colour(*(255 * part for part in hsv_to_rgb(hue % 1, saturation, value)))


def blend(a: Colour, b: Colour, share: float) -> Colour:
    """Mix `a` with a share of `b`, 0 to 1."""
    return _colour(*(one + (other - one) * share for one, other in zip(a, b, strict=True)))


def shade(colour: Colour, depth: float) -> Colour:
    """A shadow of the colour, slightly colder than the colour, as illustrators use it instead of black."""
    r, g, b = colour
    return _colour(r * (1 - 0.62 * depth), g * (1 - 0.72 * depth), b * (1 - 0.52 * depth))


def blush_shade(skin: Colour, depth: float) -> Colour:
    """A shadow of the skin, warmer than the skin."""
    r, g, b = skin
    return _colour(r * (1 - 0.3 * depth), g * (1 - 0.62 * depth), b * (1 - 0.58 * depth))


def vary(colour: Colour, hue: float, saturation: float, value: float) -> Colour:
    """A similar colour with the same name. Each of the three numbers is in [-1, 1]."""
    h, s, v = rgb_to_hsv(*(part / 255 for part in colour))
    return hsv(h + 0.011 * hue, min(1, s * (1 + 0.12 * saturation)), min(1, v * (1 + 0.06 * value)))


def _colour(r: float, g: float, b: float) -> Colour:
    return min(255, max(0, round(r))), min(255, max(0, round(g))), min(255, max(0, round(b)))
