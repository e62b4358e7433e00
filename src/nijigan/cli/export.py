"""The command that writes generators in other programs' formats."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nijigan.cli.common import Model
from nijigan.errors import check


@dataclass(frozen=True)
class Export:
    """Export a generator for other programs. Needs the extra studio: pip install '.[studio]'.

    An ONNX file draws with onnxruntime in any language, and in nijigan without torch: nijigan generate FILE.onnx.
    """

    model: Model = None
    """A run folder, a .safetensors file, or a model on the Hugging Face Hub as hf:user/model. Default: the packaged
    generator."""
    out: Path = Path("generator.onnx")
    """The file, .onnx."""
    to: Literal["onnx"] = "onnx"
    """The format."""
    half: bool = False
    """Store kernels in fp16: half the size, and faces that may differ slightly."""
    overwrite: bool = False
    """Replace an existing file."""

    def run(self) -> None:
        """Export."""
        from nijigan.export.onnx import write_onnx
        from nijigan.generator.generator import Generator

        check(self.out.suffix.lower() == ".onnx", f"{self.out} needs the suffix .onnx; name another file.")
        check(self.overwrite or not self.out.exists(), f"{self.out} exists; choose another name, or use --overwrite.")
        write_onnx(Generator.load(self.model), self.out, half=self.half)
        print(self.out)
