"""Detect anime faces with the C library of animeface.

animeface (nagadomi's animeface-2009 as a C library, including its weights) is called through ctypes. Its Python entry
reads a private structure of Pillow that Pillow 12 changed, and has found nothing since. The C functions below it take
plain arrays of floats. They are stateless, and ctypes releases the interpreter's lock, so that threads can call them in
parallel.

The detector slides square windows over a picture. It reliably finds faces of 50 to 100 pixels, and misses much larger
ones. Pictures are therefore searched at several scales. A mirrored border helps with faces that fill the picture.

animeface has no build for Windows. Without it, every function that searches raises a `UserError`, and so does
`check_finder`, which is called before longer work.
"""

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from nijigan.aliases import Images
from nijigan.errors import UserError
from nijigan.pictures import resize

SMALLEST_WINDOW = 48.0
"""Side of the smallest window, in pixels of the searched scale. The largest is 2/3 of the shorter side with border."""
WINDOW_STEP, WINDOW_GROWTH = 4.0, 1.095
"""Step of the windows in 32nds of their side, and their growth factor; as in animeface."""
EDGE_GAIN = 4.0
"""Gain of the edge filter; as in animeface."""

CROP_SIDES = (80, 96)
"""Longer sides to which face crops are resized, one after the other until a face is found."""
BORDER = 0.25
"""Width of the mirrored border, as a share of a crop's longer side. With it, the largest window is the crop itself."""

LARGEST_SIDE = 768
"""Longer side of the largest scale that is searched. Faces below 1/15 of the longer side are not found."""
LARGEST_ENLARGEMENT = 1.5
SMALLEST_SIDE = 64
"""Shorter side of the smallest scale that is searched. At this scale, a face that fills the picture is found."""
SCALE_RATIO = 1.5

SAME_FACE = 0.5
"""If two boxes overlap by more than this share of the smaller one, the less likely box is dropped."""

_CANDIDATES = 8192  # the detector's own limit; with a smaller array, it drops likely faces


@dataclass(frozen=True)
class FoundFace:
    """A face in a picture. Its box is about square: from the fringe to the neck, and as wide as the cheeks."""

    x: int
    """Left edge, in pixels."""
    y: int
    """Upper edge, in pixels."""
    width: int
    height: int
    likelihood: float
    """The detector's confidence, 0.5 to 1."""


def find_faces(picture: npt.NDArray[np.uint8]) -> list[FoundFace]:
    """Find the faces in a whole picture.

    Args:
        picture: uint8 RGB, H×W×3, any size.

    Returns:
        The faces, the likeliest first. Their boxes lie within the picture. Faces below about 32 pixels, or below 1/15
        of the longer side, are not found.

    Raises:
        UserError: the argument is not such an array, or the detector cannot be loaded; so for all functions below.
    """
    check_pixels(picture, 3)
    shorter, longer = sorted(picture.shape[:2])
    scale = min(LARGEST_ENLARGEMENT, LARGEST_SIDE / longer)
    found: list[FoundFace] = []
    while shorter * scale >= SMALLEST_SIDE:
        found += _search(picture, scale, round(BORDER * 96))
        scale /= SCALE_RATIO
    return _distinct(found)


def has_face(crop: npt.NDArray[np.uint8]) -> bool:
    """Whether the detector finds a face in a picture that should be one, such as a 64-pixel tile.

    The detector tolerates noise but misses blurred faces. Keep that in mind when it is used for judging.

    Args:
        crop: uint8 RGB, H×W×3, any size.

    Raises:
        UserError: the argument is not such an array.
    """
    check_pixels(crop, 3)
    return any(_search(crop, side / max(crop.shape[:2]), round(BORDER * side)) for side in CROP_SIDES)


def may_be_face(crop: npt.NDArray[np.uint8]) -> bool:
    """Whether the detector finds a face in a picture, in a histogram-equalised copy, or in the mirrored copy of that.

    In a varied collection of 96-pixel tiles, `has_face` misses one face in fifteen: pale, dark and tinted ones. This
    function misses one in sixty, and accepts half of the pictures without a face. Use it for sorting, not for judging.

    Args:
        crop: uint8 RGB, H×W×3, any size.

    Raises:
        UserError: the argument is not such an array.
    """
    if has_face(crop):
        return True
    grey = Image.fromarray(np.ascontiguousarray(crop)).convert("L")
    equalised = np.asarray(ImageOps.equalize(grey).convert("RGB"))
    return has_face(equalised) or has_face(equalised[:, ::-1])


def have_faces(crops: Images, progress: Callable[[int, int], None] | None = None) -> npt.NDArray[np.bool_]:
    """Call `has_face` for many crops, on all cores.

    Args:
        crops: uint8 RGB, N×H×W×3.
        progress: called with (crops done, N).

    Returns:
        bool, of length N.

    Raises:
        UserError: the argument is not such an array.
    """
    check_pixels(crops, 4)
    found = np.zeros(len(crops), np.bool_)
    with ThreadPoolExecutor() as threads:
        for index, face in enumerate(threads.map(has_face, crops)):
            found[index] = face
            if progress:
                progress(index + 1, len(crops))
    return found


def check_pixels(pixels: npt.NDArray[np.uint8], dimensions: int, what: str = "Faces are detected in") -> None:
    """Raise a `UserError` that starts with `what` unless `pixels` is uint8 RGB with that number of dimensions."""
    if pixels.dtype != np.uint8 or pixels.ndim != dimensions or pixels.shape[-1] != 3 or 0 in pixels.shape[-3:]:
        shape = "×".join(map(str, pixels.shape))
        raise UserError(f"{what} uint8 RGB pictures, H×W×3; this is {pixels.dtype} {shape}.")


def _search(picture: npt.NDArray[np.uint8], scale: float, border: int) -> list[FoundFace]:
    """Search one scale, with a mirrored border of `border` pixels. Boxes are in pixels of the picture."""
    height, width = picture.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    scaled = np.asarray(resize(Image.fromarray(np.ascontiguousarray(picture)), *size))
    faces = []
    for window in detect_windows(np.pad(scaled, ((border, border), (border, border), (0, 0)), mode="reflect")):
        box = window.box
        left, right = ((x - border) * width / size[0] for x in (box.x, box.x + box.width))
        top, bottom = ((y - border) * height / size[1] for y in (box.y, box.y + box.height))
        if 0 <= left + right < 2 * width and 0 <= top + bottom < 2 * height:  # otherwise it is in the mirrored border
            x, y = max(0, round(left)), max(0, round(top))
            right, bottom = min(width, round(right)), min(height, round(bottom))
            faces.append(FoundFace(x, y, right - x, bottom - y, window.likelihood))
    return faces


def _distinct(faces: Sequence[FoundFace]) -> list[FoundFace]:
    """The likeliest box of every face; if equally likely, the largest."""
    kept: list[FoundFace] = []
    for face in sorted(faces, key=lambda face: (face.likelihood, face.width * face.height), reverse=True):
        if all(_overlap(face, other) <= SAME_FACE for other in kept):
            kept.append(face)
    return kept


def _overlap(one: FoundFace, other: FoundFace) -> float:
    """The area of overlap of two boxes, as a share of the smaller."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(0, width) * max(0, height) / min(one.width * one.height, other.width * other.height)


class _Rectangle(ctypes.Structure):
    """`nv_rect_t`."""

    _fields_ = [(name, ctypes.c_int) for name in ("x", "y", "width", "height")]
    x: int
    y: int
    width: int
    height: int


class Window(ctypes.Structure):
    """`nv_face_position_t`: a window with a face. Its first parts are the eyes, the one on the viewer's right first."""

    _fields_ = [("likelihood", ctypes.c_float), ("box", _Rectangle), ("parts", _Rectangle * 5)]
    likelihood: float
    box: _Rectangle


class _Matrix(ctypes.Structure):
    """`nv_matrix_t`, a view of an array: rows×cols vectors of length n = 1."""

    _fields_ = [
        ("list", ctypes.c_int),
        ("list_step", ctypes.c_uint),
        ("n", ctypes.c_int),
        ("m", ctypes.c_int),
        ("rows", ctypes.c_int),
        ("cols", ctypes.c_int),
        ("step", ctypes.c_int),
        ("alias", ctypes.c_int),
        ("v", ctypes.c_void_p),
    ]

    def __init__(self, array: npt.NDArray[np.float32]) -> None:
        super().__init__(1, array.size, 1, array.size, *array.shape, 1, 0, array.ctypes.data)
        self.array = array  # kept alive as long as the view


def check_finder() -> None:
    """Raise a `UserError` if the face detector cannot be loaded: animeface is missing or broken."""
    _networks()


@cache
def _library() -> ctypes.CDLL:
    """Load animeface's C library, on first use: importing this module must cost little."""
    try:
        from animeface import _nvxs

        return _declared(ctypes.CDLL(_nvxs.__file__))
    except (ImportError, OSError, AttributeError) as error:  # missing, built for another system, or damaged
        raise UserError(
            f"The face detector animeface cannot be loaded ({error}): install it (pip install animeface; it has no "
            "build for Windows), or omit --crop, --faces-only, --label hair,eyes and --manifold."
        ) from error


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library with the types of its functions' arguments."""
    matrix = ctypes.POINTER(_Matrix)
    library.nv_gaussian5x5.argtypes = (matrix, ctypes.c_int, matrix, ctypes.c_int)
    library.nv_laplacian1.argtypes = (matrix, matrix, ctypes.c_float)
    library.nv_integral.argtypes = (matrix, matrix, ctypes.c_int)
    library.nv_face_detect.argtypes = (
        *(ctypes.POINTER(Window), ctypes.c_int),  # results and their maximum number
        *(matrix, matrix, ctypes.POINTER(_Rectangle)),  # integral images of grey and of edges, the size of the picture
        *(ctypes.c_void_p, ctypes.c_void_p),  # networks: direction of a face, first classifier
        *(ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p),  # second classifier: an ensemble and its size; face parts
        *(ctypes.c_float, ctypes.c_float, ctypes.c_float),  # step, growth, smallest window
    )
    return library


def _network(name: str) -> int:
    """The address of a network inside the library."""
    return ctypes.addressof(ctypes.c_char.in_dll(_library(), f"nv_face_mlp_{name}"))


@cache
def _networks() -> tuple[object, ...]:
    """The networks in the order of `nv_face_detect`'s arguments: direction, first, second and its size, parts."""
    second = (ctypes.c_void_p * 2)(_network("face_01"), _network("face_02"))
    return _network("dir"), _network("face_00"), second, len(second), _network("parts")


def detect_windows(picture: npt.NDArray[np.uint8]) -> list[Window]:
    """Run the detector on H×W×3 pixels without resizing, as animeface's own entry does without its colours."""
    height, width, _ = picture.shape
    grey = _Matrix(picture.astype(np.float32) @ np.array([0.30, 0.59, 0.11], np.float32))
    smooth, edges = (_Matrix(np.zeros((height, width), np.float32)) for _ in range(2))
    grey_integral, edge_integral = (_Matrix(np.zeros((height + 1, width + 1), np.float32)) for _ in range(2))
    library = _library()
    library.nv_gaussian5x5(smooth, 0, grey, 0)
    library.nv_laplacian1(edges, smooth, EDGE_GAIN)
    library.nv_integral(grey_integral, grey, 0)
    library.nv_integral(edge_integral, edges, 0)
    windows = (Window * _CANDIDATES)()
    count = library.nv_face_detect(
        *(windows, len(windows), grey_integral, edge_integral, _Rectangle(0, 0, width, height)),
        *_networks(),
        *(WINDOW_STEP, WINDOW_GROWTH, SMALLEST_WINDOW),
    )
    return windows[:count]
