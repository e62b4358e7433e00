"""The commands that generate faces: `generate`, `walk` and `invert`."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional

from nijigan.cli.common import Device, Model, narrate, progress_bar, torch_device
from nijigan.cli.requests import Requested, check_requested, chosen_scale, chosen_seeds
from nijigan.errors import UserError, check
from nijigan.inversion import STEPS

if TYPE_CHECKING:
    from nijigan.generator.request import Request

_INT = tyro.conf.arg(metavar="INT")
"""For options whose help text states the default, where tyro would show {None}|INT."""
_FLOAT, _PATH, _SEEDS = (tyro.conf.arg(metavar=kind) for kind in ("FLOAT", "PATH", "SEEDS"))

Upscaler = Literal["learnt", "lanczos", "none"]
"""As in `nijigan.generator.enlarging`, which loads numpy and Pillow."""

Pictures = Annotated[Positional[tuple[Path, ...]], tyro.conf.arg(metavar="PICTURE...", help_behavior_hint="(required)")]

_MOST_PICTURES = 1000
_LARGEST_SCALE = 16
_CANDIDATES = 4  # faces generated for each that --best keeps


@dataclass(frozen=True)
class Generate:
    """Generate faces into a grid, a folder or a .zip.

    If the generator is conditional, pass attributes as options (--hair blue --eyes red). Omitted attributes are
    sampled from the training distribution.
    """

    model: Model = None
    """A run folder, a .safetensors or .onnx file, or a model on the Hugging Face Hub as hf:user/model. Default: the
    packaged generator."""
    out: Path = Path("faces.png")
    """An image (.png, .webp, .jpg) for a grid, or a folder or .zip for one PNG per face."""
    n: Annotated[int | None, _INT] = None
    """Number of faces. Default: 64; 8 per value with --each; 4 times as many as --best keeps."""
    seed: Annotated[int | None, _INT] = None
    """Seed of the first face. Each further face uses the next seed. Default: 0."""
    seeds: Annotated[str | None, _SEEDS] = None
    """Seeds of the faces: numbers and ranges, such as 3,17,99 or 3-9. Default: --n seeds from --seed."""
    best: Annotated[int | None, _INT] = None
    """Keep this many of the faces: those that people would most probably keep, the best first. Default: keep all."""
    like: Annotated[Path | None, _PATH] = None
    """Generate the face of this picture again, with the options that are given. nijigan must have written the picture,
    as a PNG, JPEG or WebP of one face. Default: none."""
    psi: Annotated[float | None, _FLOAT] = None
    """Truncation, 0 to 2. Below 1, faces are cleaner and less varied; above 1, they are more extreme. Default: 1, or
    that of --like."""
    scale: Annotated[int | None, _INT] = None
    """Factor by which every face is enlarged. Default: 1."""
    size: Annotated[int | None, _INT] = None
    """Height and width of every face in pixels: a multiple of the generator's resolution. Default: set by --scale."""
    upscaler: Upscaler = "learnt"
    """How faces are enlarged: learnt = a small network, which keeps lines sharp; lanczos = a fixed filter; none =
    every pixel becomes a square."""
    columns: Annotated[int | None, _INT] = None
    """Faces per row of the grid. Default: as square as possible, or one row per value with --each."""
    each: Annotated[str | None, tyro.conf.arg(metavar="ATTRIBUTE")] = None
    """Vary this attribute: generate every seed once per value. Default: vary none."""
    device: Device = "cpu"
    """Device for the generator."""
    overwrite: bool = False
    """Replace files that nijigan did not generate, and mix faces of several generators in a folder."""
    attributes: Requested = field(default_factory=dict)

    def run(self) -> None:
        """Generate."""
        from nijigan.generator.generator import Generator
        from nijigan.generator.records import read_face
        from nijigan.generator.request import Request, attributes_like
        from nijigan.generator.saving import check_place, write

        self._check_combinations()
        face = read_face(self.like) if self.like else None
        seeds, psi = self._seeds(), 1.0
        check(
            self.best is None or self.best <= len(seeds),
            f"{self.best} faces cannot be chosen from {len(seeds):,}; "
            f"{'name more --seeds' if self.seeds else 'raise --n'} or lower --best.",
        )
        generator = Generator.load(self.model).to(torch_device(self.device))
        attributes = check_requested(self.attributes, generator, Generate, Walk)
        each = self.each and self.each.lower().replace("-", "_")
        if face:
            seeds, psi, attributes = [face.seed], face.psi, attributes_like(face, generator, attributes, each)
        request = Request(
            generator, seeds[: self.best], psi if self.psi is None else self.psi, attributes, each,
            chosen_scale(self.scale, self.size, generator.header.resolution, default=1), self.upscaler,
            self.columns, face.latent if face else "",
        )  # fmt: skip
        check_place(request, self.out, self.overwrite)
        if self.best is not None:
            request = replace(request, seeds=self._best(request, seeds))
        with progress_bar("Generating") as progress:
            write(request, self.out, self.overwrite, progress)
        print(self.out)

    def _check_combinations(self) -> None:
        """Refuse options that exclude each other."""
        numbers = {"--n": self.n, "--seed": self.seed, "--seeds": self.seeds, "--best": self.best}
        given = [name for name, value in numbers.items() if value is not None]
        check(not (self.like and given), f"--like generates one face again; omit {' and '.join(given)}.")
        excluded = " and ".join(name for name in given if name in ("--n", "--seed"))
        check(self.seeds is None or not excluded, f"--seeds names all faces; omit {excluded}.")
        check(self.best is None or self.each is None, "--best chooses single faces; omit it or --each.")
        check(self.best is None or self.best >= 1, f"--best must be 1 or more, not {self.best}.")

    def _seeds(self) -> Sequence[int]:
        """The seeds that are typed, or as many as are needed."""
        columns = max(1, self.columns) if self.each and self.columns else None
        n = columns or (8 if self.each else 64) if self.best is None else self.best * _CANDIDATES
        return chosen_seeds(self.seeds, n if self.n is None else self.n, self.seed)

    def _best(self, request: "Request", seeds: Sequence[int]) -> Sequence[int]:
        """The seeds of the best faces, the best first."""
        from nijigan.judges.selection import best_seeds

        with progress_bar("Judging") as progress:
            found = best_seeds(
                request.generator, seeds, len(request.seeds), psi=request.psi, attributes=request.attributes,
                progress=progress,
            )  # fmt: skip
        narrate(f"Judged {found.candidates:,} faces; people would keep {found.good:,}. Kept the best {self.best}.")
        if found.good < len(found.seeds):
            narrate(f"People would keep fewer than that; {'name more with --seeds' if self.seeds else 'raise --n'}.")
        return found.seeds


@dataclass(frozen=True)
class Walk:
    """Render a looping latent-space interpolation.

    If the generator is conditional, pass attributes as options (--hair blue). Each sequence keeps the omitted
    attributes of its first face.
    """

    model: Model = None
    """A run folder, a .safetensors or .onnx file, or a model on the Hugging Face Hub as hf:user/model. Default: the
    packaged generator."""
    out: Path = Path("walk.webp")
    """A .webp, .gif or .mp4 file; .mp4 needs ffmpeg."""
    stops: Annotated[int | None, _INT] = None
    """Faces that each sequence passes through, 2 or more. Default: 8, or as many as --seeds names."""
    frames_per_stop: int = 24
    """Frames from one face to the next."""
    fps: int = 24
    """Frames per second, up to 60 (.gif: 50)."""
    n: int = 1
    """Number of sequences side by side."""
    columns: Annotated[int | None, _INT] = None
    """Sequences per row. Default: as square as possible."""
    seed: Annotated[int | None, _INT] = None
    """Seed of the first face. Default: 0."""
    seeds: Annotated[str | None, _SEEDS] = None
    """Seeds of the faces to pass through: numbers and ranges, such as 3,17,99 or 3-9. Default: consecutive seeds from
    --seed."""
    psi: float = 1.0
    """Truncation, 0 to 2. Below 1, faces are cleaner and less varied; above 1, they are more extreme."""
    scale: Annotated[int | None, _INT] = None
    """Factor by which every face is enlarged. Default: 4."""
    size: Annotated[int | None, _INT] = None
    """Height and width of every face in pixels: a multiple of the generator's resolution. Default: set by --scale."""
    upscaler: Upscaler = "learnt"
    """How faces are enlarged: learnt = a small network, which keeps lines sharp; lanczos = a fixed filter; none =
    every pixel becomes a square."""
    device: Device = "cpu"
    """Device for the generator."""
    overwrite: bool = False
    """Replace a file that nijigan did not generate."""
    attributes: Requested = field(default_factory=dict)

    def run(self) -> None:
        """Render."""
        from nijigan.generator.generator import Generator
        from nijigan.generator.walks import walk

        check(self.seeds is None or self.seed is None, "--seeds names all faces; omit --seed.")
        seeds = None if self.seeds is None else chosen_seeds(self.seeds, 0, None)
        stops = self.stops if self.stops is not None else 8 if seeds is None else len(seeds) // max(1, self.n)
        generator = Generator.load(self.model).to(torch_device(self.device))
        attributes = check_requested(self.attributes, generator, Walk, Generate)
        scale = chosen_scale(self.scale, self.size, generator.header.resolution, default=4)
        with progress_bar("Rendering") as progress:
            walk(
                generator, self.out, stops=stops, frames_per_stop=self.frames_per_stop, fps=self.fps, n=self.n,
                columns=self.columns, seed=self.seed or 0, seeds=seeds, psi=self.psi, scale=scale,
                upscaler=self.upscaler, attributes=attributes, overwrite=self.overwrite, progress=progress,
            )  # fmt: skip
        print(self.out)


@dataclass(frozen=True)
class Invert:
    """Find the generator's face that is nearest to a picture.

    The found face is written as a PNG that records it: `nijigan generate --like` generates it again, with other
    attributes or larger. A sentence says how near it is.
    """

    pictures: Pictures
    """Pictures of one anime face each: .jpg, .png, .webp or .gif of any size. A face in a larger picture is cut out."""
    model: str | None = None
    """A run folder, a .safetensors file, or a model on the Hugging Face Hub as hf:user/model. Default: the packaged
    generator."""
    out: Path = Path("found.png")
    """A .png file for one picture, or a folder for several."""
    steps: int = STEPS
    """Steps of gradient descent. More steps find nearer faces and take longer."""
    scale: int = 1
    """Factor by which the found face is enlarged."""
    overwrite: bool = False
    """Replace files that nijigan did not write."""

    def run(self) -> None:
        """Find the faces."""
        import numpy as np

        from nijigan.files import replacing
        from nijigan.generator.enlarging import enlarge
        from nijigan.generator.generator import Generator
        from nijigan.generator.records import face_png
        from nijigan.inversion.search import inversions
        from nijigan.inversion.uploads import prepare

        places = self._places()
        generator = Generator.load(self.model)
        uploads = []
        for path in self.pictures:
            content = _content(path)
            try:
                uploads.append(prepare(content, generator.header.resolution))
            except UserError as error:
                raise UserError(f"{path}: {error}") from error
            if not uploads[-1].found:
                narrate(f"No face was found in {path}; its centre is used.")
        pixels = np.stack([upload.pixels for upload in uploads])
        with progress_bar("Searching") as progress:
            found = inversions(generator, pixels, steps=self.steps, progress=progress)
            # Each is written when it is found, so that a stopped search keeps what it has.
            for path, place, inversion in zip(self.pictures, places, found, strict=True):
                large = enlarge(inversion.picture[None], self.scale)[0]
                with replacing(place) as temporary:
                    temporary.write_bytes(face_png(inversion.face, large))
                narrate(f"{path}: {inversion.nearness.sentence}")
                print(place)

    def _places(self) -> list[Path]:
        """Where the faces go; what may not be replaced is refused before the search."""
        from nijigan.files import check_path
        from nijigan.generator.records import check_replaceable
        from nijigan.pages.layout import check_folder

        check(bool(self.pictures), "Name a picture, such as: nijigan invert face.png")
        check(len(self.pictures) <= _MOST_PICTURES, f"Name at most {_MOST_PICTURES:,} pictures.")
        check(1 <= self.scale <= _LARGEST_SCALE, f"--scale is {self.scale}; choose 1 to {_LARGEST_SCALE}.")
        check_path(self.out)
        if self.out.suffix.lower() == ".png" and not self.out.is_dir():
            check(len(self.pictures) == 1, "--out is one file for several pictures; name a folder.")
            places = [self.out]
        else:
            check(not self.out.suffix or self.out.is_dir(), f"--out is {self.out}; name a .png file or a folder.")
            places = [self.out / f"{path.stem}-found.png" for path in self.pictures]
        twice = next((place for place in places if places.count(place) > 1), None)
        check(twice is None, f"Two pictures would both be written to {twice}; search for them one after the other.")
        pictures = {path.resolve() for path in self.pictures}
        for place in places:
            check(place.resolve() not in pictures, f"{place} is one of the pictures; name another place with --out.")
            check_replaceable(place, self.overwrite)
            check_folder(place.parent)
        return places


def _content(path: Path) -> bytes:
    """The bytes of a picture's file."""
    from nijigan.files import check_path, check_regular

    check_path(path)
    try:
        check_regular(path)
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"Could not read {path}: {error.strerror or error}.") from error
