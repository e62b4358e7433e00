"""Draw the structure of the package, as its code and its import contract have it, to docs/images/structure.svg.

    python tools/structure.py

A room is a top-level package or module of nijigan. The layers are those of the import-linter contract in
pyproject.toml; the arrows are the import statements in src. The upper half of the picture shows the rooms in their
layers. It leaves out the arrows that follow from others and those to the ground floor. The lower half, a matrix, shows
every import.

The text of the SVG depends only on the rooms, the layers and the imports. A test compares it with the committed file.
"""

import ast
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "structure.svg"

WIDTH, MARGIN = 900, 24
BOX, BOX_HEIGHT, GAP = 116, 38, 24
"""Width and height of a room, and the least space between two rooms of a layer, in pixels."""
ROW, GROUND_ROW = 86, 58
"""From one layer to the next: with arrows between them, and on the ground floor."""
LANE, STEEPEST = 32, 0.6
"""The width that an arrow takes where it passes a layer, and its greatest dx / dy there."""
CELL, LINE = 33, 26
"""A column and a row of the matrix."""

STYLE = """
text { font: 17px -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #2d2a38; }
.title { font-size: 19px; font-weight: 600; }
.note { font-size: 15px; fill: #6b6678; }
.paper { fill: #fffdfe; stroke: #e9e3ec; }
.layer { fill: #f7f4f9; }
.room { fill: #eef3fc; stroke: #7d9bd1; stroke-width: 1.3; }
.torch { fill: #fdeaf1; stroke: #dd6f98; }
.arrow { fill: none; stroke: #a79fb5; stroke-width: 1.5; }
.head { fill: #a79fb5; }
.guide { stroke: #ebe6ef; stroke-width: 1; }
.dot { fill: #7d9bd1; }
.dot.torch { fill: #dd6f98; stroke: none; }
"""


@dataclass(frozen=True)
class Structure:
    """Rooms, layers and imports, read from the repository."""

    layers: tuple[tuple[str, ...], ...]
    """Rooms by layer, top first."""
    imports: dict[str, frozenset[str]]
    """By room, the rooms that it imports."""
    packages: frozenset[str]
    """The rooms that are packages; the others are single modules."""
    torch: frozenset[str]
    """The rooms that import torch as soon as one of their modules is imported."""

    @property
    def rooms(self) -> list[str]:
        """All rooms, from the top layer to the bottom."""
        return [room for layer in self.layers for room in layer]

    @property
    def ground(self) -> frozenset[str]:
        """The rooms of the lowest layers, up to the first layer that holds a package."""
        ground: list[str] = []
        for layer in reversed(self.layers):
            if self.packages & set(layer):
                break
            ground += layer
        return frozenset(ground)

    def essential_imports(self, room: str) -> list[str]:
        """The rooms above the ground floor that `room` imports and that no other of its imports reaches."""
        direct = self.imports[room]
        indirect = {reached for other in direct for reached in self._reach(other)}
        return [other for other in self.rooms if other in direct - indirect - self.ground]

    def _reach(self, room: str) -> set[str]:
        reached = set(self.imports[room])
        for other in self.imports[room]:
            reached |= self._reach(other)
        return reached


def read_structure(root: Path = ROOT) -> Structure:
    """Read the layers from pyproject.toml and the imports from src.

    Raises:
        ValueError: the code has rooms that the contract lacks, or the contract rooms that the code lacks.
    """
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (contract for contract in contracts if contract.get("id") == "layers")
    layers = tuple(tuple(room.strip() for room in layer.split("|")) for layer in contract["layers"])
    folder = root / "src" / "nijigan"
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    modules = {path.stem for path in folder.glob("[!_]*.py")}
    rooms = [room for layer in layers for room in layer]
    if sorted(rooms) != sorted(packages | modules):
        raise ValueError(f"the contract and src/nijigan differ in {set(rooms) ^ (packages | modules)}")
    imports: dict[str, frozenset[str]] = {}
    torch = set()
    for room in rooms:
        paths = sorted((folder / room).glob("**/*.py")) if room in packages else [folder / f"{room}.py"]
        trees = [ast.parse(path.read_text()) for path in paths]
        names = {name for tree in trees for statement in ast.walk(tree) for name in _imported(statement)}
        imported = {name.split(".")[1] for name in names if name.startswith("nijigan.")}
        imports[room] = frozenset(imported & set(rooms) - {room})
        if any(name.split(".")[0] == "torch" for tree in trees for line in tree.body for name in _imported(line)):
            torch.add(room)
    return Structure(layers, imports, frozenset(packages), frozenset(torch))


def _imported(statement: ast.AST) -> Iterator[str]:
    """The full names that a statement imports; none if it is another kind of statement."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom) and statement.module:
        yield from (f"{statement.module}.{alias.name}" for alias in statement.names)


@dataclass(eq=False)
class Node:
    """A room, or the place where an arrow passes a layer."""

    room: str | None
    x: float = 0
    above: "list[Node]" = field(default_factory=list)
    below: "list[Node]" = field(default_factory=list)

    @property
    def half(self) -> float:
        """Half of the space that the node takes."""
        return (BOX + GAP) / 2 if self.room else LANE / 2


def lay_out(structure: Structure) -> tuple[list[list[Node]], list[list[Node]]]:
    """Place rooms and arrows.

    Returns:
        The nodes of each layer from left to right, and for each arrow its nodes from the importing room down.
    """
    rows = [[Node(room) for room in layer] for layer in structure.layers]
    places = {node.room: (depth, node) for depth, row in enumerate(rows) for node in row}
    arrows = []
    for room in structure.rooms:
        for other in structure.essential_imports(room):
            (start, first), (end, last) = places[room], places[other]
            lanes = [Node(None) for _ in range(start + 1, end)]
            for depth, lane in enumerate(lanes, start + 1):
                rows[depth].append(lane)
            arrows.append([first, *lanes, last])
            for upper, lower in pairwise(arrows[-1]):
                upper.below.append(lower)
                lower.above.append(upper)
    _order(rows)
    for row in rows:
        _spread(row, [WIDTH / 2] * len(row), [1.0] * len(row))
    for sweep in range(60):
        for row in rows if sweep % 2 else reversed(rows):
            _pull(row)
    return rows, arrows


def _order(rows: list[list[Node]]) -> None:
    """Order each layer so that few arrows cross: by the mean place of the neighbours, sweeping down and up."""
    best, fewest = [list(row) for row in rows], _crossings(rows)
    for sweep in range(24):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            place = {id(node): index / len(other) for other in rows for index, node in enumerate(other, 1)}
            row.sort(key=lambda node: fmean(_places(node, place, down)))
        if (crossings := _crossings(rows)) < fewest:
            best, fewest = [list(row) for row in rows], crossings
    for row, ordered in zip(rows, best, strict=True):
        row[:] = ordered


def _places(node: Node, place: dict[int, float], down: bool) -> list[float]:
    neighbours = node.above if down else node.below
    return [place[id(other)] for other in neighbours] or [place[id(node)]]


def _crossings(rows: Sequence[Sequence[Node]]) -> int:
    """How many pairs of arrows cross between adjacent layers."""
    total = 0
    for upper, lower in pairwise(rows):
        place = {id(node): index for index, node in enumerate(lower)}
        ends = [(index, place[id(other)]) for index, node in enumerate(upper) for other in node.below]
        total += sum((a - c) * (b - d) < 0 for i, (a, b) in enumerate(ends) for c, d in ends[:i])
    return total


def _pull(row: list[Node]) -> None:
    """Move the nodes of a layer towards their neighbours, without changing their order; arrows want to be straight."""
    wanted = [fmean([other.x for other in node.above + node.below] or [node.x]) for node in row]
    _spread(row, wanted, [1.0 if node.room else 3.0 for node in row])


def _spread(row: list[Node], wanted: Sequence[float], weights: Sequence[float]) -> None:
    """Put nodes as near to the wanted places as their widths allow: least squares, by pooling neighbours."""
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + left.half + right.half)
    pools: list[list[float]] = []  # sum of weights × places, sum of weights, number of nodes
    for place, offset, weight in zip(wanted, offsets, weights, strict=True):
        pools.append([weight * (place - offset), weight, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    bases = [total / weight for total, weight, count in pools for _ in range(round(count))]
    least, greatest = MARGIN + row[0].half, WIDTH - MARGIN - row[-1].half - offsets[-1]
    for node, base, offset in zip(row, bases, offsets, strict=True):
        node.x = min(max(base, least), greatest) + offset


def draw(structure: Structure) -> str:
    """The picture, as the text of an SVG file."""
    house, bottom = _draw_house(structure, 106)
    matrix, bottom = _draw_matrix(structure, bottom + 64)
    height = bottom + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        "<title>The rooms of nijigan and their imports</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="12"/>',
        *house,
        *matrix,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _draw_house(structure: Structure, top: int) -> tuple[list[str], int]:
    """The rooms in their layers, with the arrows between them, and where it ends."""
    rows, arrows = lay_out(structure)
    parts = [
        _text(MARGIN, 38, "Rooms and layers", "title"),
        _text(MARGIN, 64, "An arrow points to a room that is imported. The matrix below adds the", "note"),
        _text(MARGIN, 84, "imports that follow from these, and those of the two lowest layers.", "note"),
        *_legend(WIDTH - MARGIN - 190, 64),
    ]
    height: dict[int, int] = {}
    y = top
    for layer, row in zip(structure.layers, rows, strict=True):
        height |= {id(node): y for node in row}
        parts.append(f'<rect class="layer" x="8" y="{y - 8}" width="{WIDTH - 16}" height="{BOX_HEIGHT + 16}" rx="8"/>')
        y += GROUND_ROW if structure.ground & set(layer) else ROW
    for arrow in arrows:
        parts += _draw_arrow(arrow, height)
    for row in rows:
        parts += [_box(structure, node.room, round(node.x), height[id(node)]) for node in row if node.room]
    return parts, y - GROUND_ROW + BOX_HEIGHT


def _draw_arrow(arrow: Sequence[Node], height: dict[int, int]) -> list[str]:
    """A smooth curve that passes the layers in its lanes, upright at both ends, and its head."""
    start, *lanes, end = arrow
    first = (float(_port(start, start.below, arrow[1])), height[id(start)] + BOX_HEIGHT)
    last = (float(_port(end, end.above, arrow[-2])), height[id(end)] - 7)
    middles = [first, *((lane.x, height[id(lane)] + BOX_HEIGHT // 2) for lane in lanes), last]
    points = [(*first, 0.0)]  # x, y, dx / dy
    for above, (x, y), below in zip(middles, middles[1:], middles[2:], strict=False):
        bends_back = (x - above[0]) * (below[0] - x) <= 0
        slope = 0.0 if bends_back else (below[0] - above[0]) / (below[1] - above[1])
        slope = min(max(slope, -STEEPEST), STEEPEST)
        points += [(x + slope * step, y + step, slope) for step in (-BOX_HEIGHT // 2, BOX_HEIGHT // 2)]
    points.append((*last, 0.0))
    path = f"M{first[0]:.0f} {first[1]}"
    for (x, y, slope), (next_x, next_y, next_slope) in pairwise(points):
        handle = (next_y - y) / 2
        numbers = (x + slope * handle, y + handle, next_x - next_slope * handle, next_y - handle, next_x, next_y)
        path += "C" + " ".join(f"{number:.0f}" for number in numbers)
    head = f"M{last[0] - 4:.0f} {last[1] - 1}h8l-4 8z"
    return [f'<path class="arrow" d="{path}"/>', f'<path class="head" d="{head}"/>']


def _port(node: Node, neighbours: Sequence[Node], neighbour: Node) -> int:
    """The x at which the arrow from or to a neighbour meets a room; arrows keep the order of their neighbours."""
    ordered = sorted(neighbours, key=lambda other: other.x)
    place = next(index for index, other in enumerate(ordered) if other is neighbour)
    return round(node.x + 14 * (place - (len(ordered) - 1) / 2))


def _draw_matrix(structure: Structure, top: int) -> tuple[list[str], int]:
    """Every import as a dot, and where it ends."""
    rooms = structure.rooms
    left = WIDTH - MARGIN - CELL * len(rooms) + CELL // 2
    column = {room: left + CELL * index for index, room in enumerate(rooms)}
    line = {room: top + LINE * index for index, room in enumerate(rooms)}
    parts = []
    y = top - LINE // 2
    for index, layer in enumerate(structure.layers):
        if index % 2 == 0:
            height = LINE * len(layer)
            parts.append(f'<rect class="layer" x="8" y="{y}" width="{WIDTH - 16}" height="{height}" rx="4"/>')
        y += LINE * len(layer)
    importers = {room: [other for other in rooms if room in structure.imports[other]] for room in rooms}
    for room in rooms:
        if importers[room]:
            first = line[importers[room][0]]
            parts.append(f'<path class="guide" d="M{column[room]} {first}V{line[room] - 9}"/>')
        if imported := [other for other in rooms if other in structure.imports[room]]:
            parts.append(f'<path class="guide" d="M{column[room] + 12} {line[room]}H{column[imported[-1]]}"/>')
    for room in rooms:
        parts.append(_text(column[room] + 8, line[room] + 6, room, anchor="end"))
        for other in rooms:
            if other in structure.imports[room]:
                kind = "dot torch" if other in structure.torch else "dot"
                parts.append(
                    f'<circle class="{kind}" cx="{column[other]}" cy="{line[room]}" r="5.5">'
                    f"<title>{room} imports {other}</title></circle>"
                )
    note = top + LINE * (len(rooms) // 2)
    parts += [
        _text(MARGIN, note, "All imports", "title"),
        _text(MARGIN, note + 24, "To the right of a room: what it imports.", "note"),
        _text(MARGIN, note + 44, "Above a room: what imports it.", "note"),
    ]
    return parts, top + LINE * len(rooms)


def _legend(x: int, y: int) -> list[str]:
    return [
        f'<rect class="room torch" x="{x}" y="{y - 12}" width="22" height="14" rx="4"/>',
        _text(x + 30, y, "computes with torch", "note"),
        f'<rect class="room" x="{x}" y="{y + 8}" width="22" height="14" rx="4"/>',
        _text(x + 30, y + 20, "does not", "note"),
    ]


def _box(structure: Structure, room: str, centre: int, y: int) -> str:
    kind = "room torch" if room in structure.torch else "room"
    box = f'<rect class="{kind}" x="{centre - BOX // 2}" y="{y}" width="{BOX}" height="{BOX_HEIGHT}" rx="7"/>'
    return box + _text(centre, y + 25, room, anchor="middle")


def _text(x: int, y: int, text: str, kind: str = "", anchor: str = "start") -> str:
    attributes = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor != "start" else "")
    return f'<text x="{x}" y="{y}"{attributes}>{text}</text>'


if __name__ == "__main__":
    PICTURE.write_text(draw(read_structure()))
