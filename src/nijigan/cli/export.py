"""The command that writes generators in other programs' formats."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from nijigan.cli.common import Model, narrate, progress_bar
from nijigan.errors import check

Format = Literal["onnx", "site", "pair"]
_FORMAT = tyro.conf.arg(metavar="{onnx,site,pair}")
_STATED = tyro.conf.arg(help_behavior_hint="")
"""For flags whose help text states the default."""


@dataclass(frozen=True)
class Export:
    """Export a generator for other programs, as a web site, or as a pair of networks for other trainings.

    An ONNX file draws with onnxruntime in any language, and in nijigan without torch: nijigan generate FILE.onnx.
    A site is a folder for any web server: its page draws faces in the visitor's browser. Both need the extra studio:
    pip install '.[studio]'. A pair is a folder with the generator and the discriminator of a run: nijigan train RECIPE
    --data FACES --start-from FOLDER.
    """

    model: Model = None
    """A run folder, a .safetensors file, or a model on the Hugging Face Hub as hf:user/model. A site also takes an
    .onnx file; --check takes an .onnx file or the folder of a site. Default: the packaged generator."""
    out: Path | None = None
    """The file, .onnx, or the folder of a site or a pair. Default: generator.onnx, site or pair."""
    to: Annotated[Format | None, _FORMAT] = None
    """The format: onnx = one file; site = a web page that draws faces; pair = both networks of a run. Default: onnx."""
    check: bool = False
    """Write nothing. Draw the faces again that an exported file records, and report the greatest difference. More than
    1/255 is an error."""
    half: Annotated[bool, tyro.conf.FlagCreatePairsOff, _STATED] = False
    """Store kernels in fp16: half the size, and faces that may differ slightly. Default: only for a site."""
    no_half: Annotated[bool, tyro.conf.FlagCreatePairsOff, _STATED] = False
    """Store kernels in fp32. Default: for all but a site."""
    overwrite: bool = False
    """Replace an existing file, or the files of a site in a folder; its other files stay."""

    def run(self) -> None:
        """Export or check."""
        check(not (self.half and self.no_half), "--half and --no-half exclude each other; omit one.")
        if self.check:
            self._check()
        elif self.to == "pair":
            self._write_pair()
        elif self.to == "site":
            self._write_site()
        else:
            self._write_onnx()

    def _check(self) -> None:
        given = {
            "--out": self.out is not None, "--to": self.to is not None, "--half": self.half, "--no-half": self.no_half,
            "--overwrite": self.overwrite,
        }  # fmt: skip
        names = [name for name, present in given.items() if present]
        check(not names, f"--check writes nothing; omit {' and '.join(names)}.")
        from nijigan.assets import PACKAGED
        from nijigan.export.certificate import check_certificate
        from nijigan.export.site import check_site
        from nijigan.files import check_path

        place = PACKAGED.with_suffix(".onnx") if self.model is None else Path(self.model)
        check_path(place)
        check(place.exists(), f"There is nothing at {place}; name an .onnx file or the folder of a site.")
        difference = check_site(place) if place.is_dir() else check_certificate(place)
        print(f"{place}: the greatest difference is {difference}/255")

    def _write_onnx(self) -> None:
        from nijigan.export.onnx import write_onnx
        from nijigan.generator.generator import Generator

        out = self.out or Path("generator.onnx")
        check(out.suffix.lower() == ".onnx", f"{out} needs the suffix .onnx; name another file.")
        check(not out.is_dir(), f"{out} is a folder; name a file.")
        check(self.overwrite or not out.exists(), f"{out} exists; choose another name, or use --overwrite.")
        with progress_bar("Finding directions") as progress:
            write_onnx(Generator.load(self.model), out, half=self.half, directions=True, progress=progress)
        print(out)

    def _write_site(self) -> None:
        from nijigan.export.description import name_of, slowness
        from nijigan.export.site import check_place, write_site
        from nijigan.generator.generator import Generator

        out = self.out or Path("site")
        check_place(out, self.overwrite)
        half = True if self.half else False if self.no_half else None
        generator = Generator.load(self.model)
        with progress_bar("Finding directions") as progress:
            description = write_site(generator, out, name_of(self.model), half, self.overwrite, progress)
        if slow := slowness(description):
            narrate(slow)
        print(out)

    def _write_pair(self) -> None:
        from nijigan.training.transfer.pair import DISCRIMINATOR, GENERATOR, write_pair

        out = self.out or Path("pair")
        check(self.model is not None, "A pair is exported from a run; name its folder.")
        found = [name for name in (GENERATOR, DISCRIMINATOR) if (out / name).exists()]
        check(
            self.overwrite or not found,
            f"{out} contains {''.join(found[:1])}; choose another folder, or use --overwrite.",
        )
        write_pair(Path(str(self.model)), out, half=self.half)
        print(out)
