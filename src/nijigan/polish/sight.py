"""What the judge of polishing sees of a face: statistics of the maps of two packaged networks, with gradients."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from nijigan.aliases import Images, Progress
from nijigan.judges import anime
from nijigan.judges.feature_spaces import LITE0_RESOLUTION
from nijigan.judges.quality import BLOCKS
from nijigan.networks.projected import soften
from nijigan.vision import lite0
from nijigan.vision.frozen import IMAGENET_MEAN, IMAGENET_STD, freeze

Floats = npt.NDArray[np.float32]

SHIFT = 4
"""Largest shift of a face in each direction, in pixels of Lite0's input."""
_BATCH = 16
_LEAST_VARIANCE = 1e-4
"""Added to a channel's variance: the deviation of a channel that is flat has no gradient."""


@dataclass(frozen=True)
class View:
    """How faces are looked at. A generator that must please every view cannot do so by a pattern of single pixels."""

    soft: bool = False
    """Whether faces are averaged over 3×3 pixels first."""
    mirrored: bool = False
    down: int = SHIFT
    """The row of the padded face at which the view begins, 0 to twice `SHIFT`."""
    right: int = SHIFT
    """The column, likewise."""


VIEWS = tuple(View(soft, mirrored) for soft in (False, True) for mirrored in (False, True))
"""The views without shifts."""


class Sight(nn.Module):
    """The statistics that describe a face, those of `nijigan.judges.quality.STATISTICS`, but with gradients.

    Mean, deviation and maximum of the channels of six blocks of Lite0, mean and deviation of those of the anime
    network's stages. Neither network learns.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.small = lite0.load(), anime.load()[0]
        self.wide.head = nn.Identity()  # type: ignore[assignment]
        freeze(self.wide)
        freeze(self.small)

    @property
    def device(self) -> torch.device:
        """Where its networks are."""
        return next(self.parameters()).device

    def forward(self, faces: Tensor, view: View) -> Tensor:
        """Look at faces, float32, N×3×H×W in [0, 1] → N×3200. They are resized to 64 px, the size of those rated."""
        faces = _resized(faces)
        faces = soften(faces) if view.soft else faces
        faces = faces.flip(3) if view.mirrored else faces
        wide = pad(interpolate(faces, size=LITE0_RESOLUTION, mode="bilinear"), (SHIFT,) * 4, mode="replicate")
        wide = wide[:, :, view.down : view.down + LITE0_RESOLUTION, view.right : view.right + LITE0_RESOLUTION]
        mean, deviation = IMAGENET_MEAN.to(wide.device), IMAGENET_STD.to(wide.device)
        x, found = self.wide.stem((wide - mean) / deviation), []
        for number, block in enumerate(self.wide.blocks, 1):
            x = block(x)
            if number in BLOCKS:
                found += [x.mean((2, 3)), _deviation(x), x.amax((2, 3))]
        for stage in self.small.with_stages(faces)[1]:
            found += [stage.mean((2, 3)), _deviation(stage)]
        return torch.cat(found, 1)

    def maps(self, faces: Tensor) -> list[Tensor]:
        """The maps of the anime network, by which two versions of a face compare: N×64×16×16, 128×8×8 and 256×4×4."""
        return self.small.with_stages(_resized(faces))[1]


def _resized(faces: Tensor) -> Tensor:
    side = (anime.RESOLUTION, anime.RESOLUTION)
    return faces if faces.shape[2:] == side else interpolate(faces, size=side, mode="bilinear", antialias=True)


def _deviation(maps: Tensor) -> Tensor:
    return (maps.var((2, 3)) + _LEAST_VARIANCE).sqrt()


@torch.no_grad()
def statistics(sight: Sight, images: Images, *views: View, progress: Progress | None = None) -> Floats:
    """The statistics of uint8 pictures.

    Args:
        sight: on any device.
        images: uint8, N×H×W×3, N ≥ 1.
        views: how they are looked at, V of them.
        progress: called with (looks taken, looks to take).

    Returns:
        float32, VN×3200, by view and then by picture.
    """
    found: list[Floats] = []
    for view in views:
        for start in range(0, len(images), _BATCH):
            part = torch.from_numpy(np.ascontiguousarray(images[start : start + _BATCH])).to(sight.device)
            found.append(sight(part.permute(0, 3, 1, 2).float() / 255, view).cpu().numpy())
            if progress is not None:
                progress(sum(map(len, found)), len(views) * len(images))
    return np.concatenate(found)
