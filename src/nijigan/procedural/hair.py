"""Hair: behind the head, over the forehead, and the ribbon in it."""

from collections.abc import Mapping

import numpy as np

from nijigan.procedural.palette import HAIR, WHITE, Colour, blend, hsv, shade, vary
from nijigan.procedural.sketch import Points, Sketch, bezier, ellipse, mirrored, pieces, smooth, stroke

_CROWN = -0.08  # y of the centre of the skull
_LOCKS = {"long": 0.4, "bob": 0.29, "short": 0.13, "twintails": 0.22, "ponytail": 0.24, "buns": 0.18}


class Hair:
    """The hair of one face. Coordinates are as in `nijigan.procedural.artist`.

    Args:
        labels: hair (the colour) and style.
        trait: numbers by the names of `TRAITS`.
        jitter: numbers in [-1, 1] that make strands differ.
        sketch: the sketch to draw on.
    """

    def __init__(self, labels: Mapping[str, str], trait: Mapping[str, float], jitter: Points, sketch: Sketch) -> None:
        self.style, self.trait, self.jitter, self.sketch = labels["style"], trait, jitter, sketch
        self.colour = vary(HAIR[labels["hair"]], trait["hair hue"], trait["hair saturation"], trait["hair value"])
        self.dark, self.edge = shade(self.colour, 0.24), shade(self.colour, 0.62)
        self.rx, self.ry = 0.322 * trait["volume"], 0.33 * trait["volume"]
        self.side = 1.0 if trait["side"] > 0 else -1.0
        self.fringe = self._fringe(int(trait["strands"]))

    def behind(self) -> None:
        """Draw the hair that is behind the head."""
        if self.style == "twintails":
            for side in (-1.0, 1.0):
                self._tail(side, 0.27, -0.2, 0.43)
        elif self.style == "ponytail":
            self._tail(self.side, 0.19, -0.34, 0.41)
        elif self.style == "buns":
            for side in (-1, 1):
                self.sketch.shape(ellipse(side * 0.245, -0.34, 0.115, 0.11), self.colour, self.edge)
                curl = ellipse(side * 0.245, -0.34, 0.07, 0.065, 200 - 40 * side, 400 - 40 * side)
                self.sketch.line(curl, self.edge, 0.006)
        self.sketch.shape(np.concatenate([self._scalp(), mirrored(self._fall())]), self.dark, self.edge)
        if self.style == "long":
            for side in (-1, 1):
                strand = stroke((self.rx * 0.8, 0.16), (self.rx * 0.9, 0.3), (self.rx * 0.96, 0.52), 0.012)
                self.sketch.fill(strand * (side, 1), self.edge)

    def shadow(self, colour: Colour) -> None:
        """Draw the shadow of the fringe on the forehead. It stays within the face: behind that is hair."""
        shifted = pieces(self.fringe) + np.array([0.006, 0.026])
        self.sketch.fill(np.clip(np.concatenate([shifted, [(1, -0.2), (-1, -0.2)]]), (-0.25, -1), (0.25, 1)), colour)

    def before(self) -> None:
        """Draw the hair that is in front: ahoge, fringe with strands and shine, and locks at the sides of the face."""
        t, rx, sketch = self.trait, self.rx, self.sketch
        if t["ahoge"] > 0.2:
            s = self.side
            ahoge = bezier((-0.02, -0.36), (0.0, -0.49), (s * 0.11, -0.47), (s * 0.03, -0.45), (0.025, -0.36))
            sketch.shape(ahoge, self.colour, self.edge, 0.008)
        sketch.shape(np.concatenate([self._scalp(), pieces(self.fringe)[::-1]]), self.colour, self.edge)
        low = _LOCKS[self.style] + t["lock"]
        lock = bezier(
            (rx * 0.983, _CROWN - 0.06), (rx, _CROWN - 0.02), (rx * 1.004, _CROWN + 0.03), (rx * 1.07, low * 0.55),
            (rx * 0.84, low), (rx * 0.88, low * 0.6), (rx * 0.76, low * 0.4), (rx * 0.7, low * 0.1), (rx * 0.78, -0.14),
        )  # fmt: skip
        for side in (-1, 1):
            sketch.fill(lock * (side, 1), self.colour)
        self._shade()
        for side in (-1, 1):
            sketch.line(lock * (side, 1), self.edge, 0.01)
        whorl = np.array([t["parting"] * 0.6, _CROWN - 0.3])
        for root, bend in zip(self.fringe[4:-1:4], self.jitter, strict=False):
            top = whorl + (root - whorl) * (0.42 + 0.12 * bend)
            middle = (root + top) / 2 + np.array([np.sign(root[0] - whorl[0]) * 0.025, -0.01])
            sketch.fill(stroke((root[0], root[1]), (middle[0], middle[1]), (top[0], top[1]), 0.011), self.edge)
        self._shine()

    def ribbon(self) -> None:
        """A bow on the side away from the ponytail."""
        colour = hsv(self.trait["ribbon hue"], 0.62, 0.95)
        edge, dark = shade(colour, 0.6), shade(colour, 0.25)
        place = np.array([-self.side * 0.2, -0.31])
        tail = bezier((0, 0), (0.04, 0.06), (0.075, 0.12), (0.09, 0.09), (0.12, 0.085), (0.06, 0.03), (0, 0))
        loop = smooth((0.012, 0), (0.085, -0.075), (0.13, -0.06), (0.135, 0.03), (0.09, 0.05))
        fold = stroke((0.02, 0), (0.06, -0.012), (0.1, -0.012), 0.022)
        for side in (-1, 1):
            self.sketch.shape(tail * (side, 1) + place, dark, edge, 0.008)
            self.sketch.shape(loop * (side, 1) + place, colour, edge)
            self.sketch.fill(fold * (side, 1) + place, dark)
        self.sketch.shape(ellipse(0, 0, 0.032, 0.034) + place, colour, edge, 0.008)

    def _scalp(self, start: float = 180, share: float = 1.0) -> Points:
        """The outline over the skull, from an angle (180: the left temple, 270: the crown) to the right temple."""
        return ellipse(0, _CROWN, self.rx * share, self.ry * share, start, 360)

    def _fall(self) -> Points:
        """The right half of the outline of what hangs behind the head, from the temple down."""
        rx, wave, lock = self.rx, 0.02 * self.trait["wave"], self.trait["lock"]
        if self.style == "long":
            return bezier(
                (rx, _CROWN), (rx + 0.03, 0.12), (rx + 0.03 + wave, 0.25), (rx + 0.03, 0.45), (rx + 0.07 - wave, 0.7)
            )
        if self.style == "bob":
            low = 0.33 + 0.5 * lock
            return bezier(
                (rx, _CROWN), (rx + 0.085, 0.14), (rx + 0.02, low), (rx - 0.05, low + 0.07), (0.12, low - 0.03)
            )
        if self.style == "short":
            low = 0.16 + 0.4 * lock
            return bezier(
                (rx, _CROWN), (rx + 0.01, low - 0.08), (rx + 0.055, low), (rx + 0.01, low - 0.02),
                (rx - 0.01, low - 0.02), (rx - 0.01, low + 0.05), (rx + 0.01, low + 0.09), (rx - 0.04, low + 0.07),
                (rx - 0.06, low + 0.05), (rx - 0.07, low + 0.11), (rx - 0.06, low + 0.15), (rx - 0.13, low + 0.12),
                (rx - 0.17, low + 0.08),
            )  # fmt: skip
        return bezier((rx, _CROWN), (rx + 0.005, 0.12), (0.2, 0.25))

    def _tail(self, side: float, x: float, y: float, out: float) -> None:
        """A bunch of hair tied at (x, y) that swings `out` and falls."""
        wave, low = 0.03 * self.trait["wave"], 0.44 + self.trait["lock"]
        outline = bezier(
            (x, y - 0.045), (out + 0.02, y - 0.13), (out + 0.06, y + 0.12), (out + 0.09, y + 0.32),
            (out + 0.02 + wave, low - 0.06), (out, low), (out - 0.06 + wave, low + 0.05), (out - 0.03, low - 0.06),
            (out - 0.05, low - 0.1), (out - 0.08, low - 0.03), (out - 0.13 + wave, low - 0.02), (out - 0.09, low - 0.2),
            (out - 0.11, y + 0.28), (out - 0.12, y + 0.06), (x, y + 0.045),
        )  # fmt: skip
        inner = stroke((x + 0.02, y), (out + 0.03, y + 0.02), (out - 0.03 + wave, low - 0.12), 0.03)
        outer = stroke((x + 0.03, y - 0.03), (out + 0.07, y - 0.01), (out + wave, low - 0.2), 0.012)
        self.sketch.shape(outline * (side, 1), self.colour, self.edge)
        self.sketch.fill(inner * (side, 1), self.dark)
        self.sketch.fill(outer * (side, 1), self.dark)

    def _fringe(self, count: int) -> Points:
        """The lower edge on the forehead, left to right: root, control, tip, control, root, ... (4·count + 1)×2."""
        t, jitter, rx = self.trait, self.jitter, self.rx
        roots = np.linspace(-0.96 * rx, 0.96 * rx, count + 1)
        roots[1:-1] += 0.022 * jitter[1:count]
        middles, widths = (roots[1:] + roots[:-1]) / 2, roots[1:] - roots[:-1]
        sweep = t["sweep"] * widths * np.tanh((middles - t["parting"]) / 0.1)  # strands lean away from the parting
        path = np.empty((4 * count + 1, 2))
        path[0::4, 0] = roots
        path[0::4, 1] = t["fringe"] - t["fringe depth"] - 0.02 + 0.015 * jitter[: count + 1]
        path[0::4, 1] -= max(0.0, t["forehead"]) * np.exp(-(((roots - t["parting"]) / 0.07) ** 2))
        path[[0, -1], 1] = 0.02
        path[2::4, 0] = middles + 0.75 * sweep
        path[2::4, 1] = t["fringe"] + 0.02 * jitter[8 : 8 + count] + 0.09 * (middles / rx) ** 2
        for control, root in ((path[1::4], path[:-1:4]), (path[3::4], path[4::4])):
            control[:] = 0.6 * root + 0.4 * path[2::4] + np.array([0, 0.015])
            control[:, 0] -= 0.35 * sweep
        return path

    def _shade(self) -> None:
        """Shade the side away from the light, within the outline."""
        inner = ellipse(0, _CROWN, self.rx * 0.86, self.ry * 0.985, 360, 270)
        self.sketch.fill(np.concatenate([self._scalp(270, 0.985), np.array([(self.rx, 0.06)]), inner]), self.dark)

    def _shine(self) -> None:
        """A band of light around the crown, scalloped between strands."""
        outer = ellipse(0, _CROWN, self.rx * 0.79, self.ry * 0.79, 214, 322)
        way = np.linspace(0, np.pi, len(outer))
        depth = np.sin(way) ** 0.5 * (0.06 + 0.09 * np.abs(np.sin(5 * way + 10 * self.trait["parting"])))
        inner = outer - (outer - np.array([0, _CROWN])) * depth[:, None]
        self.sketch.fill(np.concatenate([outer, inner[::-1]]), blend(self.colour, WHITE, self.trait["shine"]))
