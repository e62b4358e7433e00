"""How a crop is framed around a face that was found in an illustration."""

from nijigan.vision.finder import FoundFace

MARGIN = 0.25
"""Space on every side of a face's bounding box, as a share of its longer side. Hair and chin are then inside the crop,
and the bounding box fills 2/3 of it. In public collections of faces it fills 3/4 (quartiles: 0.7 and 0.83)."""
LIFT = 0.5
"""Share of the margin by which a crop is moved up: there is more hair above a face than below it."""

Square = tuple[int, int, int, int]
"""Left, upper, right and lower edge, in pixels of the illustration."""


def square_about(face: FoundFace, width: int, height: int, margin: float) -> Square:
    """The square to cut out for a face.

    It is moved into the illustration if it would reach beyond the edge, and is smaller only if it does not fit.

    Args:
        face: the face, as the detector found it.
        width: width of the illustration.
        height: height of the illustration.
        margin: space on every side of the face, as a share of its longer side.
    """
    size = max(face.width, face.height)
    side = min(round(size * (1 + 2 * margin)), width, height)
    lift = min(LIFT * margin * size, max(0, side - face.height) / 2)  # at most so far that the chin stays inside
    left, upper = round(face.x + (face.width - side) / 2), round(face.y + (face.height - side) / 2 - lift)
    left, upper = min(max(left, 0), width - side), min(max(upper, 0), height - side)
    return left, upper, left + side, upper + side
