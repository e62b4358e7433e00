"""The flow-matching baseline, against closed forms."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from nijigan.dataset.faces import FaceDataset
from nijigan.recipe.parts import EmaConfig
from nijigan.tensors.tensorfile import unpack
from nijigan.training.ema import Ema

flow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "baselines" / "flow.py")))


class ToOneFace(nn.Module):
    """The exact velocity if there is only one face: straight to it, arriving at t = 1."""

    def __init__(self, face: Tensor) -> None:
        super().__init__()
        self.face = face

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return (self.face - x) / (1 - t)[:, None, None, None]


@pytest.mark.parametrize("steps", flow.STEPS)
def test_euler_steps_follow_a_straight_line_exactly(steps: int) -> None:
    face = torch.linspace(-1, 1, 3 * 4 * 4).view(1, 3, 4, 4)
    drawn = flow.euler(ToOneFace(face), torch.randn(5, 3, 4, 4), steps)
    torch.testing.assert_close(drawn, face.expand(5, -1, -1, -1))


def test_the_exact_velocity_has_no_loss_and_none_at_all_has_that_of_the_distance() -> None:
    face = torch.linspace(-1, 1, 3 * 8 * 8).view(1, 3, 8, 8).expand(64, -1, -1, -1)
    assert flow.flow_loss(ToOneFace(face), face, torch.Generator().manual_seed(0)).item() < 1e-4
    untrained = flow.flow_loss(flow.Velocity(width=8, levels=2), face, torch.Generator().manual_seed(0))
    assert untrained.item() == pytest.approx(1 + float(face.square().mean()), rel=0.05)  # noise has variance 1


def test_it_learns_saves_and_draws(faces: FaceDataset, tmp_path: Path) -> None:
    first = flow.train(faces, tmp_path, seconds=2.0, seed=1, resolution=16)
    spent = json.loads(unpack(safe_open(tmp_path / "checkpoint.safetensors", "pt"))[0])["spent"]
    assert spent >= 2.0
    again = flow.train(faces, tmp_path, seconds=2.0, seed=1, resolution=16)  # it has had its time: nothing to add
    with pytest.raises(SystemExit, match="has trained for 2 s already"):
        flow.train(faces, tmp_path, seconds=1.0, seed=1, resolution=16)
    with pytest.raises(SystemExit, match="another seed"):
        flow.train(faces, tmp_path, seconds=9.0, seed=2, resolution=16)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    (drawn,) = flow.batches(first.eval(), 3, 2, 16)
    assert drawn.shape == (3, 16, 16, 3)
    pixels = torch.tensor(faces.pixels("train", 16)[:64]).permute(0, 3, 1, 2).float() / 127.5 - 1
    losses = [
        flow.flow_loss(model, pixels, torch.Generator().manual_seed(5)).item() for model in (flow.Velocity(), first)
    ]
    assert losses[1] < losses[0]

    model = flow.Velocity()
    ema, adam = Ema(model, EmaConfig()), torch.optim.Adam(model.parameters(), 1.0)
    images, saved, until = flow.load(tmp_path, model, ema, adam, [1, faces.fingerprint, 16])
    assert images > 0
    assert until == 2.0
    assert saved == pytest.approx(spent, abs=0.1)
    assert all(moments["step"] == images / 16 for moments in adam.state_dict()["state"].values())
