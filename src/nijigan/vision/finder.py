"""Where the faces are: animeface's detector of drawn faces, without its Python side.

animeface (nagadomi's animeface-2009 as a C library, weights inside) is called through ctypes. Its own entry reads a
private structure of Pillow's that Pillow 12 changed, and since then finds nothing; the C functions below it take plain
arrays of floats. They keep no state and, called this way, release the interpreter's lock: threads run them in parallel.

The detector slides square windows over a picture. It is sure of a face that fills 50 to 100 of its pixels and blind to
much larger ones, so pictures are searched at several scales, with their edges mirrored outwards for the faces that fill
them.
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
"""In pixels at the scale that is searched. The largest is 2/3 of the shorter side, border included."""
WINDOW_STEP, WINDOW_GROWTH = 4.0, 1.095
"""Windows move by this many 32nds of their side, and grow by this factor; as in animeface."""
EDGE_GAIN = 4.0
"""As in animeface."""

CROP_SIDES = (80, 96)
"""Longer sides that face crops are brought to, one after the other until a face is found."""
BORDER = 0.25
"""Mirrored on every side, as a share of a crop's longer side: with it the largest window is the crop itself."""

LARGEST_SIDE = 768
"""Pictures are searched at this size at most: a face of less than 1/15 of the longer side is not found."""
LARGEST_ENLARGEMENT = 1.5
SMALLEST_SIDE = 64
"""The scales of a whole picture end where its shorter side falls below this, with a face that fills it in reach."""
SCALE_RATIO = 1.5

SAME_FACE = 0.5
"""Of two boxes that share more than this part of the smaller one, the less likely is dropped."""

_CANDIDATES = 8192  # the detector's own limit: with room for fewer results, it drops likely ones


@dataclass(frozen=True)
class FoundFace:
    """A face in a picture. The box is about square, from the fringe to the neck and as wide as the cheeks."""

    x: int
    """Left edge, in pixels of the picture."""
    y: int
    """Upper edge."""
    width: int
    height: int
    likelihood: float
    """The detector's confidence, 0.5 to 1."""


def find_faces(picture: npt.NDArray[np.uint8]) -> list[FoundFace]:
    """Find the faces in a whole picture.

    Args:
        picture: uint8 RGB, H×W×3, any size.

    Returns:
        The faces, likeliest first; their boxes lie within the picture. Faces smaller than about 32 pixels, or than 1/15
        of the longer side, are not found.

    Raises:
        UserError: this is no such array.
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
    """Whether a picture that should be one face, such as a 64-pixel tile, is one to the detector.

    It tolerates noise and refuses blur, a property of its own to bear in mind where this judges.

    Args:
        crop: uint8 RGB, H×W×3, any size.

    Raises:
        UserError: this is no such array.
    """
    check_pixels(crop, 3)
    return any(_search(crop, side / max(crop.shape[:2]), round(BORDER * side)) for side in CROP_SIDES)


def may_be_face(crop: npt.NDArray[np.uint8]) -> bool:
    """Whether a picture is a face to the detector, or becomes one with its grey levels equalised, mirrored or not.

    Of a varied collection of 96-pixel tiles `has_face` misses one face in fifteen: the pale, the dark, the tinted. This
    misses one in sixty, and lets half of what is no face pass: to sort with, not to judge by.

    Args:
        crop: uint8 RGB, H×W×3, any size.

    Raises:
        UserError: this is no such array.
    """
    if has_face(crop):
        return True
    grey = Image.fromarray(np.ascontiguousarray(crop)).convert("L")
    equalised = np.asarray(ImageOps.equalize(grey).convert("RGB"))
    return has_face(equalised) or has_face(equalised[:, ::-1])


def have_faces(crops: Images, progress: Callable[[int, int], None] | None = None) -> npt.NDArray[np.bool_]:
    """`has_face` of many crops, on all cores.

    Args:
        crops: uint8 RGB, N×H×W×3.
        progress: called with (crops looked at, N).

    Returns:
        bool, of length N.

    Raises:
        UserError: this is no such array.
    """
    check_pixels(crops, 4)
    verdicts = np.zeros(len(crops), np.bool_)
    with ThreadPoolExecutor() as threads:
        for index, verdict in enumerate(threads.map(has_face, crops)):
            verdicts[index] = verdict
            if progress:
                progress(index + 1, len(crops))
    return verdicts


def check_pixels(pixels: npt.NDArray[np.uint8], dimensions: int, what: str = "Faces are looked for in") -> None:
    """Refuse, with a `UserError` that begins with `what`, what is no uint8 RGB array of so many dimensions."""
    if pixels.dtype != np.uint8 or pixels.ndim != dimensions or pixels.shape[-1] != 3 or 0 in pixels.shape[-3:]:
        shape = "×".join(map(str, pixels.shape))
        raise UserError(f"{what} uint8 RGB pictures, H×W×3; this is {pixels.dtype} {shape}.")


def _search(picture: npt.NDArray[np.uint8], scale: float, border: int) -> list[FoundFace]:
    """Look at one scale, with a mirrored border of so many pixels; boxes are in pixels of the picture."""
    height, width = picture.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    scaled = np.asarray(resize(Image.fromarray(np.ascontiguousarray(picture)), *size))
    faces = []
    for window in detect_windows(np.pad(scaled, ((border, border), (border, border), (0, 0)), mode="reflect")):
        box = window.box
        left, right = ((x - border) * width / size[0] for x in (box.x, box.x + box.width))
        top, bottom = ((y - border) * height / size[1] for y in (box.y, box.y + box.height))
        if 0 <= left + right < 2 * width and 0 <= top + bottom < 2 * height:  # else it is a face's mirror image
            x, y = max(0, round(left)), max(0, round(top))
            right, bottom = min(width, round(right)), min(height, round(bottom))
            faces.append(FoundFace(x, y, right - x, bottom - y, window.likelihood))
    return faces


def _distinct(faces: Sequence[FoundFace]) -> list[FoundFace]:
    """The likeliest box of every face; of equally likely ones the largest."""
    kept: list[FoundFace] = []
    for face in sorted(faces, key=lambda face: (face.likelihood, face.width * face.height), reverse=True):
        if all(_overlap(face, other) <= SAME_FACE for other in kept):
            kept.append(face)
    return kept


def _overlap(one: FoundFace, other: FoundFace) -> float:
    """The area that two boxes share, as a part of the smaller."""
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
    """`nv_face_position_t`: a window that holds a face; its first parts are the eyes, the viewer's right one first."""

    _fields_ = [("likelihood", ctypes.c_float), ("box", _Rectangle), ("parts", _Rectangle * 5)]
    likelihood: float
    box: _Rectangle


class _Matrix(ctypes.Structure):
    """`nv_matrix_t`, as a view of an array: rows×cols vectors of length n = 1."""

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
        self.array = array  # kept alive for as long as the view


@cache
def _library() -> ctypes.CDLL:
    """Load animeface's C library, on first use: importing this module must cost little."""
    from animeface import _nvxs

    library = ctypes.CDLL(_nvxs.__file__)
    matrix = ctypes.POINTER(_Matrix)
    library.nv_gaussian5x5.argtypes = (matrix, ctypes.c_int, matrix, ctypes.c_int)
    library.nv_laplacian1.argtypes = (matrix, matrix, ctypes.c_float)
    library.nv_integral.argtypes = (matrix, matrix, ctypes.c_int)
    library.nv_face_detect.argtypes = (
        *(ctypes.POINTER(Window), ctypes.c_int),  # results, room for how many
        *(matrix, matrix, ctypes.POINTER(_Rectangle)),  # integrals of grey and of edges, the picture's extent
        *(ctypes.c_void_p, ctypes.c_void_p),  # networks: which way a face looks, a first opinion
        *(
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_void_p,
        ),  # second opinion: an ensemble and its size; the parts of a face
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
    """Run the detector on H×W×3 pixels as they are, as animeface's own entry does with its colours left out."""
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
