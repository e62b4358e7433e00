"""The command that writes generators in other programs' formats."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nijigan.cli.common import Model
from nijigan.errors import check


@dataclass(frozen=True)
class Export:
    """Export a generator for other programs, or a pair of networks for other trainings.

    An ONNX file draws with onnxruntime in any language, and in nijigan without torch: nijigan generate FILE.onnx.
    Writing one needs the extra studio: pip install '.[studio]'. A pair is a folder with the generator and the
    discriminator of a run: nijigan train RECIPE --data FACES --start-from FOLDER.
    """

    model: Model = None
    """A run folder, a .safetensors file, or a model on the Hugging Face Hub as hf:user/model. Default: the packaged
    generator."""
    out: Path | None = None
    """The file, .onnx, or the folder of a pair. Default: generator.onnx or pair."""
    to: Literal["onnx", "pair"] = "onnx"
    """The format."""
    half: bool = False
    """Store kernels in fp16: half the size, and faces that may differ slightly."""
    overwrite: bool = False
    """Replace an existing file."""

    def run(self) -> None:
        """Export."""
        if self.to == "pair":
            self._write_pair()
            return
        from nijigan.export.onnx import write_onnx
        from nijigan.generator.generator import Generator

        out = self.out or Path("generator.onnx")
        check(out.suffix.lower() == ".onnx", f"{out} needs the suffix .onnx; name another file.")
        check(self.overwrite or not out.exists(), f"{out} exists; choose another name, or use --overwrite.")
        write_onnx(Generator.load(self.model), out, half=self.half)
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
