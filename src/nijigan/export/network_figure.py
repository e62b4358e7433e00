"""The layers of two networks as a picture: the generator on the left, the discriminator on the right."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as Tree

from nijigan.errors import check
from nijigan.files import replacing
from nijigan.networks.layers import Layer

_WIDTH, _TALL, _LOW, _GAP, _MARGIN, _TOP = 420, 34, 22, 6, 24, 64
_COLOURS = {"conv": "#dbe7f7", "linear": "#e3dcf5", "other": "#f3f3f3", "constant": "#fbe6d4"}
_STYLE = (
    "text{font:13px sans-serif;fill:#1d2530}.small{font-size:11px;fill:#4a5564}.head{font-size:16px;font-weight:bold}"
    ".shape{text-anchor:end;font-variant-numeric:tabular-nums}rect{stroke:#7d8a9c}.side{stroke-dasharray:4 3}"
)


def shown(shape: Sequence[int]) -> str:
    """A shape as it is printed, such as 512×4×4."""
    return "×".join(map(str, shape))


def totals(layers: Sequence[Layer]) -> str:
    """Parameters and operations of a network in a few words."""
    parameters = sum(layer.parameters for layer in layers) / 1e6
    return f"{parameters:.2f} M parameters, {sum(layer.operations for layer in layers) / 1e9:.3f} GFLOP an image"


def draw_networks(title: str, networks: dict[str, Sequence[Layer]], out: Path) -> None:
    """Write an SVG with one column of boxes for each network, in the order of a pass.

    Layers with weights are tall boxes, all others low ones. A dashed box belongs to the shortcut beside a residual
    branch.

    Args:
        title: the recipe's name.
        networks: heading → layers.
        out: the file, .svg.

    Raises:
        UserError: the file has another suffix, or cannot be written.
    """
    check(out.suffix.lower() == ".svg", f"{out} needs the suffix .svg; name another file.")
    columns = [_column(heading, layers) for heading, layers in networks.items()]
    width = len(columns) * (_WIDTH + _MARGIN) + _MARGIN
    height = max(bottom for _, bottom in columns) + _MARGIN
    svg = Tree.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {height}", width=str(width),
        height=str(height), role="img",
    )  # fmt: skip
    Tree.SubElement(svg, "title").text = f"The networks of {title}"
    Tree.SubElement(svg, "style").text = _STYLE
    Tree.SubElement(svg, "rect", width="100%", height="100%", fill="white", stroke="none", style="stroke:none")
    for place, (group, _) in enumerate(columns):
        group.set("transform", f"translate({_MARGIN + place * (_WIDTH + _MARGIN)} 0)")
        svg.append(group)
    with replacing(out) as temporary:
        temporary.write_bytes(Tree.tostring(svg, encoding="utf-8"))


def _column(heading: str, layers: Sequence[Layer]) -> tuple[Tree.Element, int]:
    """The boxes of one network, and where they end."""
    group = Tree.Element("g")
    _text(group, 0, 28, heading, "head")
    _text(group, 0, 48, totals(layers), "small")
    top = _TOP
    for layer in layers:
        height = _TALL if layer.parameters and "norm" not in layer.kind else _LOW
        kind = next((name for name in ("conv", "linear", "constant") if name in layer.kind), "other")
        side = "shortcut" in layer.name
        box = Tree.SubElement(
            group, "rect", y=str(top), width=str(_WIDTH), height=str(height), rx="4", fill=_COLOURS[kind]
        )
        if side:
            box.set("class", "side")
        middle, small = top + height // 2 + 4, "small" if height == _LOW else ""
        _text(group, 10, middle, f"{layer.kind} (shortcut)" if side else layer.kind, small)
        _text(group, _WIDTH - 10, middle, shown(layer.output), f"shape {small}".strip())
        top += height + _GAP
    return group, top


def _text(group: Tree.Element, x: int, y: int, text: str, kind: str) -> None:
    element = Tree.SubElement(group, "text", x=str(x), y=str(y))
    if kind:
        element.set("class", kind)
    element.text = text
