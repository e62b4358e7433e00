"""What clients send and receive: the forms of the bodies.

Bounds that depend on the server's limits or on a model are checked where they are known: see `nijigan.studio.orders`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from nijigan.generator.enlarging import Upscaler
from nijigan.generator.face import Face
from nijigan.safe_text import LONGEST_VALUE

_MOST = 1 << 63
_MOST_FACES = 4096  # the server's own limit is lower
_LONGEST_LATENT = 1 << 16
_LONGEST_NAME = 300


def _seed(value: Any) -> Any:
    """An integer from its decimal digits; whatever else it is, stays."""
    digits = isinstance(value, str) and 1 <= len(value) <= 19 and value.isascii() and value.isdigit()
    return int(value) if digits else value


Seed = Annotated[
    int,
    Field(ge=0, lt=_MOST),
    BeforeValidator(_seed),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": _MOST - 1},
                {"type": "string", "pattern": "^[0-9]{1,19}$"},
            ]
        }
    ),
]
"""JavaScript rounds integers above 2^53, so that a seed may also be a string of decimal digits."""
Psi = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
Scale = Literal[1, 2, 4]
Name = Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)]
Attributes = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=LONGEST_VALUE)],
        Annotated[str, Field(min_length=1, max_length=LONGEST_VALUE)],
    ],
    Field(max_length=64),
]


class Body(BaseModel):
    """A body without unknown or ill-typed members."""

    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)


class FaceRecord(Body):
    """A face, as pictures record it: the same values give the same picture on any machine."""

    weights: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Hash of the weights of its model."""
    seed: Seed
    """It determines the latent, and the attributes that are not requested."""
    psi: Psi = 1.0
    """Truncation: 1 samples as in training, less reduces variety."""
    attributes: Attributes = {}
    """Requested values, such as {"hair": "blue"}. Others follow from the seed."""
    latent: Annotated[str, Field(max_length=_LONGEST_LATENT)] = ""
    """Base64 of the little-endian float32 numbers of the latent, if no seed gives it."""

    def face(self) -> Face:
        """The record as nijigan's own type.

        Raises:
            UserError: a value is not valid.
        """
        return Face(self.weights, self.seed, self.psi, dict(self.attributes), self.latent)


class Order(Body):
    """What all requests for pictures have."""

    model: Name | None = None
    """Name of a model, or the hash of its weights. Default: the model that made the faces, or else the first."""
    scale: Scale = 1
    """Factor by which every face is enlarged."""
    upscaler: Upscaler = "learnt"
    """How faces are enlarged: learnt = a small network, lanczos = a fixed filter, none = squares."""


class FacesOrder(Order):
    """Faces by their records (`faces`), by their seeds (`seeds`), or a number of faces from one seed on (`n`)."""

    faces: Annotated[list[FaceRecord], Field(min_length=1, max_length=_MOST_FACES)] | None = None
    """Records of faces of one model; omit n, seed, seeds, psi and attributes then."""
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=_MOST_FACES)] | None = None
    """Different seeds; omit n and seed then."""
    n: Annotated[int, Field(ge=1, le=_MOST_FACES)] | None = None
    """Number of faces. Default: 1."""
    seed: Seed | None = None
    """Seed of the first face; each further face uses the next seed. Default: 0."""
    psi: Psi | None = None
    """Truncation. Default: 1."""
    attributes: Attributes | None = None
    """Requested values; all others are sampled as in training. Default: none."""
    format: Literal["png", "webp", "zip", "json"] = "png"
    """png, webp: one picture, a grid of several faces; zip: a PNG per face; json: records and pictures as base64."""
    columns: Annotated[int, Field(ge=1, le=_MOST_FACES)] | None = None
    """Faces per row of a grid. Default: the nearest to a square."""


class WalkOrder(Order):
    """A looping film that passes through faces. All frames have ψ and attributes of the first face."""

    faces: Annotated[list[FaceRecord], Field(min_length=2, max_length=_MOST_FACES)] | None = None
    """Records of faces of one model; omit seeds, psi and attributes then."""
    seeds: Annotated[list[Seed], Field(min_length=2, max_length=_MOST_FACES)] | None = None
    """Seeds of the faces."""
    psi: Psi | None = None
    """Truncation. Default: 1."""
    attributes: Attributes | None = None
    """Requested values; all others are those of the first face. Default: none."""
    frames_per_stop: Annotated[int, Field(ge=1, le=_MOST_FACES)] = 24
    """Frames from one face to the next."""
    fps: Annotated[int, Field(ge=1, le=60)] = 24
    """Frames per second; a GIF has at most 50."""
    format: Literal["webp", "gif", "mp4"] = "webp"
    """An mp4 needs ffmpeg on the server."""


class VariationsOrder(Body):
    """Faces near a face."""

    face: FaceRecord
    """The face."""
    n: Annotated[int, Field(ge=1, le=_MOST_FACES)] = 8
    """Number of variations."""
    radius: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.3
    """How far they are: 0 = the face itself, 1 = as far as other faces are."""
    seed: Seed = 0
    """Other seeds give other variations."""


class Rating(Body):
    """Whether somebody would keep a face."""

    face: FaceRecord
    """The face."""
    good: bool
    """Whether the face is good enough to keep."""


class Answer(BaseModel):
    """What the server answers."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class FacePicture(Answer):
    """A face and its picture."""

    face: dict[str, Any]
    """The record, with the seed as an integer."""
    png: str
    """Base64 of a PNG that has the record too."""


class FacePictures(Answer):
    """Faces and their pictures."""

    faces: list[FacePicture]
    """The faces, in the order of the request."""


class FaceRecords(Answer):
    """Faces without pictures."""

    faces: list[dict[str, Any]]
    """Records, with seeds as integers."""


class FoundFace(Answer):
    """The face of a model that is nearest to a picture."""

    face: FaceRecord
    """The face."""
    distance: float
    """Its distance from the picture in the feature space lite0; two random faces are about 1 apart."""
    level: Literal["close", "similar", "far"]
    """The distance beside that of neighbours in a morph, and of random faces."""
    words: str
    """The same in a sentence."""
    face_seen: bool
    """Whether a face was found in the picture and cut out; otherwise its centre was used."""


class ModelRatings(Answer):
    """The ratings of one model's faces."""

    model: str
    """Name of the model."""
    weights: str
    """Hash of its weights."""
    rated: int
    """Number of faces."""
    good: int
    """Number of those that are good."""


class Ratings(Answer):
    """How many faces were rated."""

    rated: int
    """Number of faces, also of other models and real ones."""
    good: int
    """Number of those that are good."""
    models: list[ModelRatings]
    """The counts of each model of this server."""
