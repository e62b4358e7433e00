"""A web site of one page that draws a generator's faces in the visitor's browser.

The folder holds a copy of `page/`, the generator as an ONNX file, the pictures of its certificate, the upscaler, and
`models.json`, which describes them. All addresses are relative, so that any static server can serve the folder, also
below a path.
"""

import hashlib
import json
import re
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nijigan.aliases import Progress
from nijigan.assets import ASSETS, PACKAGED
from nijigan.errors import UserError, check
from nijigan.export.certificate import check_certificate, read_certificate
from nijigan.export.description import certificate_name, describe_model
from nijigan.files import check_path, folder_lock, replacing_folder
from nijigan.generator.generator import Generator

PAGE = Path(__file__).parent / "page"
"""The page: HTML, styles, scripts and the libraries that they use."""

MODELS, UPSCALER = "models.json", "upscaler.onnx"

_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
_WRITTEN = r"models\.json|upscaler\.onnx|generator-[0-9a-f]{8}\.onnx|certificate/(?:[0-9]+\.png)?"
_DIGITS = 8  # of the file's hash in its name: a browser never takes an old file from its cache for a new one


def check_place(out: Path, overwrite: bool = False) -> None:
    """Refuse, with a `UserError`, a place where `write_site` must not write: a file, or a folder that is not empty.

    Args:
        out: the folder; it need not exist.
        overwrite: allow a folder with a site, and one without any file that has the name of a site's.
    """
    check_path(out)
    check(out.is_dir() or not out.exists(), f"{out} is a file; name a folder for the site.")
    empty = not out.exists() or next(out.iterdir(), None) is None
    check(overwrite or empty, f"{out} is not empty; name another folder, or replace a site's files with --overwrite.")
    if not empty and not _is_site(out):
        names = (place.relative_to(PAGE) for place in PAGE.rglob("*") if not place.is_dir())
        foreign = next((out / name for name in names if (out / name).exists()), None)
        check(foreign is None, f"{foreign} belongs to another page; name another folder for the site.")


def write_site(
    generator: Generator,
    out: Path,
    name: str,
    half: bool | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the site of a generator, whole or not at all.

    Args:
        generator: the generator. An exported file is copied as it is.
        out: the folder. With `overwrite`, files in it that do not belong to a site stay.
        name: what the page calls the generator.
        half: store kernels in fp16. Default: yes; an exported file keeps what it has.
        overwrite: replace the files of a site that is there.
        progress: see `nijigan.export.onnx.write_onnx`.

    Returns:
        The description of the generator, as `nijigan.export.description.describe_model` makes it.

    Raises:
        UserError: `out` cannot or must not be written to, the package onnx is missing, or an exported file has no
            certificate.
    """
    check_place(out, overwrite)
    owned = re.compile(f"{_WRITTEN}|{'|'.join(_page_names())}")
    with folder_lock(out, owned), replacing_folder(out, owned) as new:
        shutil.copytree(PAGE, new, dirs_exist_ok=True, ignore=_IGNORED)
        shutil.copyfile(ASSETS / UPSCALER, new / UPSCALER)
        model = _write_model(generator, new, half, progress)
        exported = Generator.load(model)
        _write_certificate(exported, new)
        description = describe_model(exported, name)
        models = {"version": version("nijigan"), "models": [description], "upscaler": UPSCALER}
        (new / MODELS).write_text(json.dumps(models) + "\n", encoding="utf-8")
    return description


def check_site(folder: Path) -> int:
    """Compare the files of a site with their description, and draw the faces of its certificates again.

    Returns:
        The greatest difference of a pixel, in 1/255.

    Raises:
        UserError: the folder is no site, a file is missing or another one, or faces differ too much.
    """
    greatest = 0
    for model in _described(folder):
        try:
            file, size, digest = _inside(folder, model["file"]), model["bytes"], model["sha256"]
            pictures = [_inside(folder, one["png"]) for one in model["certificate"]]
        except (KeyError, TypeError) as error:
            raise _damaged(folder, MODELS) from error
        data = file.read_bytes()
        if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
            raise _damaged(folder, file.name)
        greatest = max(greatest, check_certificate(file))
        network = Generator.load(file).exported
        expected = [one.png for one in read_certificate(network)] if network else []
        if [picture.read_bytes() for picture in pictures] != expected:
            raise _damaged(folder, "certificate")
    return greatest


def _write_model(generator: Generator, folder: Path, half: bool | None, progress: Progress | None) -> Path:
    """Write or copy the exported file; its name has the beginning of its hash."""
    file = folder / "generator.onnx"
    network = generator.exported
    if network and half is None:
        shutil.copyfile(network.path, file)
    else:
        kept = network is not None and network.path != PACKAGED.with_suffix(".onnx")
        check(not kept, "An .onnx file keeps the precision that it has; omit --half and --no-half.")
        from nijigan.export.onnx import write_onnx  # imports torch

        write_onnx(generator, file, half=half is not False, directions=True, progress=progress)
    return file.rename(folder / f"generator-{hashlib.sha256(file.read_bytes()).hexdigest()[:_DIGITS]}.onnx")


def _write_certificate(exported: Generator, folder: Path) -> None:
    """Write the pictures of the certificate as files."""
    faces = read_certificate(exported.exported) if exported.exported else []
    check(bool(faces), "The .onnx file has no certificate; export its run or .safetensors file to a site instead.")
    for place, face in enumerate(faces):
        picture = folder / certificate_name(place)
        picture.parent.mkdir(exist_ok=True)
        picture.write_bytes(face.png)


def _page_names() -> list[str]:
    """Patterns of the names in a copy of the page, folders with a `/` at the end."""
    return [re.escape(place.relative_to(PAGE).as_posix()) + "/" * place.is_dir() for place in PAGE.rglob("*")]


def _is_site(folder: Path) -> bool:
    """Whether nijigan exported a site into a folder."""
    try:
        return bool(_described(folder))
    except UserError:
        return False


def _described(folder: Path) -> list[dict[str, Any]]:
    """The descriptions in `models.json`."""
    file = folder / MODELS
    check(file.is_file(), f"{folder} is no site that nijigan exported: it has no {MODELS}; name another folder.")
    try:
        models = json.loads(file.read_text(encoding="utf-8"))["models"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(folder, MODELS) from error
    if not isinstance(models, list) or not models:
        raise _damaged(folder, MODELS)
    return models


def _inside(folder: Path, url: str) -> Path:
    """The file of a relative address; refuse, with a `UserError`, one that is missing or outside of the folder."""
    try:
        file = (folder / url).resolve()
        if file.is_relative_to(folder.resolve()) and file.is_file():
            return file
    except (OSError, ValueError):  # too long a name, or a null character
        pass
    raise _damaged(folder, ascii(url)[1:-1][:80])


def _damaged(folder: Path, name: str) -> UserError:
    return UserError(f"{folder} is damaged: {name} is missing or is not what was exported; export the site again.")
