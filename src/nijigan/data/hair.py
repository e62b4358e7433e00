"""Hair: behind the head, over the forehead, and what is tied into it."""

from collections.abc import Mapping

import numpy as np

from nijigan.data.palette import HAIR, WHITE, hsv, mix, shade, vary
from nijigan.data.sketch import Points, Sketch, bezier, ellipse, pieces, smooth

_CROWN = -0.09  # height of the skull's centre
_TEETH = 13  # points of the zigzag that shines on the crown


class Hair:
    """One head of hair. Lengths as in `Artist`.

    Args:
        labels: hair (the colour) and style.
        trait: numbers by the names of `TRAITS`.
        jitter: numbers in [-1, 1] that set strand apart from strand.
        sketch: what is painted on.
    """

    def __init__(self, labels: Mapping[str, str], trait: Mapping[str, float], jitter: Points, sketch: Sketch) -> None:
        self.style, self.trait, self.jitter, self.sketch = labels["style"], trait, jitter, sketch
        self.colour = vary(HAIR[labels["hair"]], trait["hair hue"], trait["hair saturation"], trait["hair value"])
        self.edge, self.line = shade(self.colour, 0.62), shade(self.colour, 0.34)
        self.rx, self.ry = 0.325 * trait["volume"], 0.36 * trait["volume"]
        self.side = 1.0 if trait["side"] > 0 else -1.0

    def behind(self) -> None:
        """Everything that the head covers."""
        if self.style == "twintails":
            for side in (-1.0, 1.0):
                self._tail(side, 0.29, -0.2, 0.44, 0.5)
        elif self.style == "ponytail":
            self._tail(self.side, 0.2, -0.36, 0.42, 0.42)
        elif self.style == "buns":
            for side in (-1, 1):
                self.sketch.shape(ellipse(side * 0.25, -0.36, 0.115, 0.11), self.colour, self.edge)
                curl = ellipse(side * 0.25, -0.36, 0.07, 0.065, 200 - 40 * side, 380 - 40 * side)
                self.sketch.line(curl, self.line, 0.008)
        self.sketch.shape(np.concatenate([self._scalp(), self._fall()]), shade(self.colour, 0.28), self.edge)

    def before(self) -> None:
        """Locks beside the face, the fringe with its strands, the shine, and the one hair that stands up."""
        t, rx = self.trait, self.rx
        length = {"long": 0.42, "bob": 0.3, "short": 0.12}.get(self.style, 0.24) + t["lock"]
        for side in (-1.0, 1.0):
            lock = bezier(
                (rx, -0.12), (rx * 1.06, length * 0.5), (rx * 0.8, length), (rx * 0.78, length * 0.5),
                (rx * 0.66, -0.1), (rx * 0.7, -0.25), (rx, -0.12),
            )  # fmt: skip
            self.sketch.shape(lock * (side, 1), self.colour, self.edge)
        valleys, fringe = self._fringe(int(t["strands"]))
        self.sketch.shape(np.concatenate([self._scalp(), fringe[::-1]]), self.colour, self.edge)
        crown = np.array([t["parting"] * 0.6, -0.42])
        wide = np.array([0.006, 0.0])
        for root in valleys[1:-1]:
            top = crown + (root - crown) * 0.35
            bend = (root + top) / 2 + np.array([np.sign(root[0] - crown[0]) * 0.02, -0.01])
            self.sketch.fill(pieces(np.stack([root - wide, bend, top, bend + wide, root + wide])), self.line)
        self._shine()
        if t["ahoge"] > 0.2:
            s = self.side
            hair = bezier((-0.015, -0.43), (0.0, -0.52), (s * 0.1, -0.5), (s * 0.03, -0.49), (0.02, -0.43))
            self.sketch.shape(hair, self.colour, self.edge, 0.008)

    def ribbon(self) -> None:
        """A bow on the side away from the ponytail."""
        colour = hsv(self.trait["ribbon hue"], 0.65, 0.95)
        edge, dark = shade(colour, 0.6), shade(colour, 0.25)
        place = np.array([-self.side * 0.2, -0.33])
        for s in (-1, 1):
            tail = bezier(
                (0, 0), (s * 0.04, 0.06), (s * 0.08, 0.12), (s * 0.09, 0.09), (s * 0.12, 0.08), (s * 0.06, 0.03), (0, 0)
            )
            loop = smooth((s * 0.015, 0), (s * 0.09, -0.075), (s * 0.13, -0.06), (s * 0.135, 0.03), (s * 0.09, 0.05))
            fold = bezier((s * 0.02, 0), (s * 0.06, -0.02), (s * 0.09, -0.01), (s * 0.06, 0.015), (s * 0.02, 0))
            self.sketch.shape(tail + place, dark, edge, 0.008)
            self.sketch.shape(loop + place, colour, edge)
            self.sketch.fill(fold + place, dark)
        self.sketch.shape(ellipse(0, 0, 0.032, 0.034) + place, colour, edge, 0.008)

    def _scalp(self) -> Points:
        """The outline over the skull, from the left temple over the crown to the right one."""
        return ellipse(0, _CROWN, self.rx, self.ry, 180, 360)

    def _fall(self) -> Points:
        """The outline of what hangs behind the head, from the right temple round to the left one."""
        rx, top, wave = self.rx, _CROWN, 0.02 * self.trait["wave"]
        if self.style == "long":
            right = [
                (rx, top), (rx + 0.03, 0.12), (rx + 0.03 + wave, 0.25), (rx + 0.03, 0.45), (rx + 0.07 - wave, 0.7),
                (0, 0.75),
            ]  # fmt: skip
        elif self.style == "bob":
            low = 0.33 + self.trait["lock"] * 0.5
            right = [
                (rx, top), (rx + 0.08, 0.14), (rx + 0.015, low), (rx - 0.06, low + 0.06), (0.15, low - 0.02),
                (0, low - 0.05),
            ]  # fmt: skip
        elif self.style == "short":
            low = 0.17 + self.trait["lock"] * 0.4
            right = [
                (rx, top), (rx + 0.01, 0.05), (rx + 0.03, low - 0.02), (rx - 0.02, low), (rx - 0.03, low + 0.02),
                (rx - 0.03, low + 0.06), (rx - 0.01, low + 0.1), (0, low + 0.1),
            ]  # fmt: skip
        else:
            right = [(rx, top), (rx + 0.005, 0.12), (0.2, 0.25), (0, 0.3)]
        return bezier(*right, *[(-x, y) for x, y in reversed(right[:-1])])

    def _tail(self, side: float, x: float, y: float, out: float, low: float) -> None:
        """A bunch of hair tied at (x, y) that swings out and falls."""
        wave = 0.04 * self.trait["wave"]
        outline = bezier(
            (x, y - 0.07), (out + 0.03, y - 0.1), (out + 0.05, y + 0.25), (out + 0.06 + wave, low - 0.1),
            (out - 0.05 + wave, low + 0.06), (out - 0.07, low - 0.08), (out - 0.1, low), (out - 0.13 + wave, low - 0.2),
            (out - 0.11, y + 0.25), (out - 0.1, y + 0.08), (x, y + 0.06),
        )  # fmt: skip
        strand = bezier(
            (x, y), (out - 0.01, y), (out - 0.02, y + 0.3), (out + wave, low - 0.15), (out - 0.06 + wave, low),
            (out - 0.03 + wave, low - 0.15), (out - 0.04, y + 0.3), (out - 0.03, y + 0.05), (x, y),
        )  # fmt: skip
        self.sketch.shape(outline * (side, 1), self.colour, self.edge)
        self.sketch.fill(strand * (side, 1), self.line)

    def _fringe(self, count: int) -> tuple[Points, Points]:
        """The roots between `count` strands, and the curve from the left temple to the right one along their tips."""
        t, jitter, rx = self.trait, self.jitter, self.rx
        edges = np.linspace(-rx * 0.93, rx * 0.93, count + 1)
        edges[1:-1] += 0.02 * jitter[: count - 1]
        middles = (edges[1:] + edges[:-1]) / 2
        away = np.tanh((middles - t["parting"]) / 0.12)  # strands lean away from the parting
        tips_x = middles + away * t["sweep"] * (edges[1:] - edges[:-1]) * 0.6
        tips_y = t["fringe"] + 0.025 * jitter[8 : 8 + count] + 0.07 * np.abs(middles / rx) ** 2
        tips = np.stack([tips_x, tips_y], axis=1)
        valleys = np.stack([edges, -0.13 + 0.015 * jitter[: count + 1]], axis=1)
        valleys[[0, -1], 1] = 0.0
        path = np.empty((4 * count + 1, 2))
        path[0::4], path[2::4] = valleys, tips
        # Control points: near the roots sideways, near the tips downwards, which makes the strands bulge.
        path[1::4] = valleys[:-1] * (0.8, 0.35) + tips * (0.2, 0.65)
        path[3::4] = valleys[1:] * (0.8, 0.35) + tips * (0.2, 0.65)
        return valleys, pieces(path)

    def _shine(self) -> None:
        angles = np.radians(np.linspace(222, 318, _TEETH))
        taper = np.sin(np.linspace(0, np.pi, _TEETH)) ** 0.6
        zigzag = 0.03 * np.where(np.arange(_TEETH) % 2, 1, -1) * taper
        direction = np.stack([np.cos(angles) * self.rx, np.sin(angles) * self.ry], axis=1)
        outer = direction * (0.7 + 0.035 * taper + zigzag)[:, None]
        inner = direction * (0.7 - 0.045 * taper + 1.3 * zigzag)[:, None]
        band = np.concatenate([outer, inner[::-1]]) + np.array([0, _CROWN])
        self.sketch.fill(band, mix(self.colour, WHITE, 0.5), self.trait["shine"])
