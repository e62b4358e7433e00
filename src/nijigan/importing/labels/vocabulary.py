"""Which names attributes may have, and how their values are written."""

import re

from nijigan.dataset.manifest import COLUMNS
from nijigan.safe_text import safe

PictureLabels = dict[str, str]
"""Attribute to value."""

LONGEST_NAME = 50
"""Maximum length of an attribute's name, in characters."""

RESERVED = {
    *COLUMNS, "attributes", "batch_size", "best", "columns", "count", "data", "device", "devices", "each", "epochs",
    "format", "fps", "frames_per_stop", "h", "help", "json", "kimg", "latent", "like", "model", "n", "name", "out",
    "overwrite", "psi", "recipe", "resolution", "rows", "scale", "seed", "seeds", "size", "stops", "tags", "truncation",
    "unknown",
    "upscaler", "version",
}  # fmt: skip
"""Names that no attribute may have: columns of every dataset, and options of commands that take attributes."""

MISSING = {
    "nan", "-nan", "<na>", "none", "null", "na", "n/a", "n-a", "n.a.", "#n/a", "-", "--", "---", "\u2013", "\u2014",
    "?",
}  # fmt: skip
"""Cells that stand for a missing value."""

TAG_COLUMNS = ("tags", "tag_string", "words")
"""Headers of columns whose cells are booru tags."""

_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]*")

_PICTURES = re.compile(
    r"(?:(?:file|image|img|picture|pic|photo|face|post)[ _-]?)?"
    r"(?:name|file|path|id|url|key|stem|image|img|picture|pic|photo|filename|filepath)s?"
)

_FILES = re.compile(r"(file|path|image|img|picture|pic|photo)s?([ _-]?(name|path|file)s?)?$")


def names_pictures(header: str) -> bool:
    """Whether a column with this header usually names pictures, such as `file_name`, `image_path`, `img` or `id`."""
    return _PICTURES.fullmatch(header.strip().lower()) is not None


def names_files(header: str) -> bool:
    """Whether a column with this header usually holds names of files, such as `image_path`, but not `id` or `name`."""
    header = header.strip().lower()
    return names_pictures(header) and _FILES.search(header) is not None


def is_attribute(name: str) -> bool:
    """Whether an attribute is or was called so: names can be reserved that an earlier version allowed."""
    return len(name) <= LONGEST_NAME and _ATTRIBUTE.fullmatch(name) is not None


def attribute(text: str) -> str:
    """The attribute that a column called `text` becomes, such as `hair_colour` for `Hair Colour`.

    Raises:
        ValueError: no attribute can have this name; the message says why.
    """
    name = re.sub(r"\W+", "_", text.strip().lower()).strip("_")
    if not _ATTRIBUTE.fullmatch(name):
        raise ValueError("the name of an attribute starts with a letter a-z and has letters, digits and underscores")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"its name has more than {LONGEST_NAME} characters")
    if name in RESERVED or name.startswith("no_"):  # options that start with no_ turn switches off
        raise ValueError("its name is reserved; rename it")
    return name


def value(text: str) -> str:
    """A value as it is stored and requested: in lower case, and safe to print. Spaces inside stay as they are."""
    return safe(text.strip()).lower()
