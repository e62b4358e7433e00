"""The figure of two networks, read back as XML."""

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest

from nijigan.errors import UserError
from nijigan.export.network_figure import draw_networks
from nijigan.networks.layers import Layer

LAYERS = [
    Layer("layers.0", "conv 4×4, stride 2", (64, 32, 32), 3136, 6_291_456),
    Layer("layers.1.shortcut.0", "conv 1×1", (64, 32, 32), 4096, 10),
    Layer("layers.2", "tanh & <more>", (3, 64, 64), 0, 0),
]
SVG = "{http://www.w3.org/2000/svg}"


def test_every_layer_has_a_box_with_its_text(tmp_path: Path) -> None:
    draw_networks("a & b", {"Generator": LAYERS, "Discriminator": LAYERS[:1]}, tmp_path / "net.svg")
    root = Tree.parse(tmp_path / "net.svg").getroot()
    groups = root.findall(f"{SVG}g")
    texts = [[text.text for text in group.findall(f"{SVG}text")] for group in groups]
    assert root.findtext(f"{SVG}title") == "The networks of a & b"
    assert texts[0][:2] == ["Generator", "0.01 M parameters, 0.006 GFLOP an image"]
    assert texts[0][2:] == [
        "conv 4×4, stride 2", "64×32×32", "conv 1×1 (shortcut)", "64×32×32", "tanh & <more>", "3×64×64",
    ]  # fmt: skip
    assert len(texts[1]) == 4
    for group in groups:
        boxes = [(float(box.get("y", 0)), float(box.get("height", 0))) for box in group.findall(f"{SVG}rect")]
        assert all(top + height <= below for (top, height), (below, _) in pairwise(boxes))
        assert boxes[-1][0] + boxes[-1][1] < float(str(root.get("height")))


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs the suffix .svg"):
        draw_networks("dcgan", {"Generator": LAYERS}, tmp_path / "net.png")
    assert not any(tmp_path.iterdir())
