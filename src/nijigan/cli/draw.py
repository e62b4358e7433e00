"""Commands that draw."""

from dataclasses import dataclass
from pathlib import Path

from nijigan.cli.common import Device, Model, progress_bar, torch_device


@dataclass(frozen=True)
class Generate:
    """Draw new faces into a grid, a folder or a .zip."""

    model: Model = None
    """A run folder, a .safetensors file or a Hub id; left out, the generator that comes with nijigan."""
    out: Path = Path("faces.png")
    """A picture (.png, .webp, .jpg) for a grid; a folder or .zip for one PNG a face."""
    n: int = 64
    """How many faces."""
    seed: int = 0
    """Seed of the first face; the next has the next seed."""
    psi: float = 1.0
    """Truncation: below 1 faces are more alike and cleaner, above 1 wilder."""
    scale: int = 1
    """Enlarge every face this many times."""
    columns: int | None = None
    """Faces in a row of the grid."""
    device: Device = "cpu"
    """Where to draw."""

    def run(self) -> None:
        """Draw."""
        from nijigan.generate import generate
        from nijigan.generator import Generator

        with progress_bar("Drawing") as progress:
            generate(
                Generator.load(self.model).to(torch_device(self.device)), self.out, n=self.n, seed=self.seed,
                psi=self.psi, scale=self.scale, columns=self.columns, progress=progress,
            )  # fmt: skip
        print(self.out)


@dataclass(frozen=True)
class Walk:
    """Film a walk from face to face that ends where it began."""

    model: Model = None
    """A run folder, a .safetensors file or a Hub id; left out, the generator that comes with nijigan."""
    out: Path = Path("walk.webp")
    """A .webp, .gif or .mp4 file."""
    stops: int = 8
    """Faces on the way."""
    frames_per_stop: int = 24
    """Frames from one face to the next."""
    fps: int = 24
    """Frames per second."""
    n: int = 1
    """Faces that walk side by side."""
    columns: int | None = None
    """Faces in a row; left out, the nearest to a square."""
    seed: int = 0
    """Seed of the first face."""
    psi: float = 1.0
    """Truncation: below 1 faces are more alike and cleaner, above 1 wilder."""
    scale: int = 4
    """Enlarge every face this many times."""
    device: Device = "cpu"
    """Where to draw."""

    def run(self) -> None:
        """Walk."""
        from nijigan.generator import Generator
        from nijigan.walk import walk

        with progress_bar("Filming") as progress:
            walk(
                Generator.load(self.model).to(torch_device(self.device)), self.out, stops=self.stops,
                frames_per_stop=self.frames_per_stop, fps=self.fps, n=self.n, columns=self.columns, seed=self.seed,
                psi=self.psi, scale=self.scale, progress=progress,
            )  # fmt: skip
        print(self.out)
