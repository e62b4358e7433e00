"""Make a run's networks those of the package: generator, discriminator and ONNX file.

python tools/package.py RUN "How it was trained, on what, what it draws."
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from nijigan.export.onnx import write_onnx
from nijigan.generator.generator import Generator
from nijigan.generator.packaged import PACKAGED, PACKAGED_DISCRIMINATOR
from nijigan.training.transfer.pair import DISCRIMINATOR, GENERATOR, write_pair


def main(run: str, description: str) -> None:
    """Replace the packaged networks."""
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder)
        write_pair(Path(run), pair, half=True)
        generator = Generator.load(pair / GENERATOR)
        generator.header = replace(generator.header, licence="MIT", description=description)
        generator.save(PACKAGED, half=True)
        PACKAGED_DISCRIMINATOR.write_bytes((pair / DISCRIMINATOR).read_bytes())
    write_onnx(Generator.load(PACKAGED), PACKAGED.with_suffix(".onnx"), half=True)
    for path in (PACKAGED, PACKAGED_DISCRIMINATOR, PACKAGED.with_suffix(".onnx")):
        print(path.name, f"{path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
