"""The artist: turns labels and chance into a sketch of an anime-like face, part by part, from the back to the front.

Lengths are in units of the picture's side, measured from its centre, y down. Light comes from the upper left.
"""

from collections.abc import Mapping

import numpy as np

from nijigan.data.hair import Hair
from nijigan.data.palette import EYES, INK, WHITE, blush_shade, hsv, mix, shade, vary
from nijigan.data.sketch import Points, Sketch, bezier, ellipse, smooth, symmetric
from nijigan.pictures import Images

TRAITS: dict[str, tuple[float, float]] = {
    "tilt": (-7, 7),
    "scale": (0.97, 1.06),
    "shift x": (-0.02, 0.02),
    "shift y": (0.0, 0.025),
    "turn": (-1, 1),
    "skin": (0, 1),
    "skin warmth": (-1, 1),
    "cheeks": (0.255, 0.28),
    "jaw": (0.85, 1.1),
    "chin": (0.335, 0.365),
    "neck": (0.065, 0.085),
    "cloth hue": (0, 1),
    "cloth value": (0.35, 1),
    "eye width": (0.075, 0.092),
    "eye height": (0.085, 0.108),
    "eye gap": (0.128, 0.146),
    "eye level": (0.07, 0.095),
    "eye slant": (-0.175, 0.15),
    "iris": (0.62, 0.74),
    "gaze": (-0.08, 0.08),
    "highlight": (0.85, 1.25),
    "eye hue": (-1, 1),
    "eye value": (-1, 1),
    "brow height": (0.0, 0.03),
    "brow slant": (-0.02, 0.03),
    "mouth": (0.85, 1.2),
    "mouth level": (0.225, 0.25),
    "hair hue": (-1, 1),
    "hair saturation": (-1, 1),
    "hair value": (-1, 1),
    "volume": (0.98, 1.08),
    "parting": (-0.16, 0.16),
    "strands": (4, 8),
    "sweep": (0.1, 0.9),
    "fringe": (-0.06, 0.02),
    "lock": (-0.05, 0.06),
    "wave": (-1, 1),
    "side": (-1, 1),
    "ahoge": (-1, 1),
    "shine": (0.5, 1),
    "ribbon hue": (0, 1),
    "frame hue": (0, 1),
    "frame shape": (0.55, 0.9),
    "background hue": (0, 1),
    "background saturation": (0, 0.38),
    "background turn": (-0.2, 0.2),
    "disc": (-0.3, 0.6),
}
"""What varies from face to face beside the labels, each uniformly between two bounds."""

JITTERS = 16
"""Further numbers in [-1, 1] that set strand apart from strand."""


class Artist:
    """One face.

    Args:
        labels: a value for each of hair, eyes, style, mouth, glasses, ribbon and blush.
        trait: a number for each of `TRAITS`.
        jitter: `JITTERS` numbers in [-1, 1].
    """

    def __init__(self, labels: Mapping[str, str], trait: Mapping[str, float], jitter: Points) -> None:
        self.labels, self.trait, self.sketch = labels, trait, Sketch()
        self.hair = Hair(labels, trait, jitter, self.sketch)
        tan = mix((255, 238, 226), (226, 176, 138), trait["skin"] ** 2)
        self.skin = mix(tan, (255, 226, 206), 0.2 * trait["skin warmth"] + 0.2)
        self.skin_edge = blush_shade(self.skin, 0.62)
        self.turn = 0.02 * trait["turn"]  # how far the features move when the head turns

    def draw(self, resolution: int) -> Images:
        """Paint the face: uint8, resolution×resolution×3."""
        t, labels = self.trait, self.labels
        if t["disc"] > 0:
            self.sketch.fill(ellipse(-0.3 * self.hair.side, -0.15, t["disc"], t["disc"]), WHITE, 0.4)
        self.hair.behind()
        self._body()
        self._head()
        if labels["blush"] == "yes":
            self._blush()
        for side in (-1, 1):
            self._eye(side)
        self._nose()
        self._mouth()
        if labels["glasses"] == "yes":
            self._glasses()
        self.hair.before()
        self._brows()
        if labels["ribbon"] == "yes":
            self.hair.ribbon()
        hue, saturation = t["background hue"], t["background saturation"]
        ends = hsv(hue, 0.55 * saturation, 1.0), hsv(hue + t["background turn"], saturation, 0.96)
        return self.sketch.render(ends, resolution, t["tilt"], t["scale"], (t["shift x"], t["shift y"]))

    def _body(self) -> None:
        sketch, n = self.sketch, self.trait["neck"]
        cloth = hsv(self.trait["cloth hue"], 0.55, self.trait["cloth value"])
        seam = shade(cloth, 0.6)
        shoulders = bezier(
            (-0.07, 0.38), (-0.3, 0.41), (-0.5, 0.52), (-0.6, 0.6), (-0.6, 0.9), (0, 0.9), (0.6, 0.9), (0.6, 0.6),
            (0.5, 0.52), (0.3, 0.41), (0.07, 0.38),
        )  # fmt: skip
        neck = bezier(
            (-n, 0.25), (-n, 0.36), (-n - 0.03, 0.4), (-0.07, 0.46), (0, 0.53), (0.07, 0.46), (n + 0.03, 0.4),
            (n, 0.36), (n, 0.25),
        )  # fmt: skip
        shadow = bezier((-n, 0.25), (-n, 0.33), (-n, 0.36), (0, 0.46), (n, 0.36), (n, 0.33), (n, 0.25))
        sketch.shape(shoulders, cloth, seam)
        sketch.shape(neck, self.skin, self.skin_edge, 0.008)
        sketch.fill(shadow, blush_shade(self.skin, 0.26))
        collar = WHITE if self.trait["cloth value"] < 0.75 else mix(cloth, WHITE, 0.6)
        for side in (-1, 1):
            half = np.array([(n + 0.015, 0.385), (0.01, 0.53), (0.12, 0.58), (n + 0.09, 0.4)])
            sketch.shape(half * (side, 1), collar, seam, 0.008)

    def _head(self) -> None:
        w, jaw, chin = self.trait["cheeks"], self.trait["jaw"], self.trait["chin"]
        for side in (-1, 1):
            ear = smooth((w * 0.97, 0.02), (w + 0.035, 0.01), (w + 0.03, 0.1), (w * 0.95, 0.15)) * (side, 1)
            self.sketch.shape(ear, self.skin, self.skin_edge, 0.008)
        face = symmetric(
            (0, -0.3), (w * 0.8, -0.2), (w, 0.0), (w * 0.97, 0.13), (0.19 * jaw, chin - 0.09),
            (0.085 * jaw, chin - 0.02), (0, chin),
        )  # fmt: skip
        self.sketch.shape(face, self.skin, self.skin_edge, 0.009)

    def _blush(self) -> None:
        for side in (-1, 1):
            x, y = side * (self.trait["eye gap"] + 0.045) + self.turn, self.trait["eye level"] + 0.115
            self.sketch.fill(ellipse(x, y, 0.058, 0.034), (255, 96, 112), 0.28)
            self.sketch.fill(ellipse(x, y, 0.042, 0.023), (255, 84, 104), 0.32)

    def _eye(self, side: int) -> None:
        """One eye in its own units: u away from the nose and v down, both in [-1, 1]."""
        t, sketch, slant = self.trait, self.sketch, self.trait["eye slant"]
        narrow = 1 - 0.08 * max(0.0, t["turn"] * side)  # the far eye of a turned head
        size = np.array([side * t["eye width"] * narrow, t["eye height"]])
        centre = np.array([side * t["eye gap"] + self.turn * 1.2, t["eye level"]])
        iris = vary(EYES[self.labels["eyes"]], t["eye hue"], 0, t["eye value"])
        white = smooth(
            (-0.88, 0.2), (-0.6, -0.6), (0.05, -0.92), (0.75, -0.55 + slant * 0.5), (0.98, 0.05 + slant),
            (0.72, 0.72 + slant * 0.4), (0.05, 0.97), (-0.62, 0.78),
        )  # fmt: skip
        lash = bezier(
            (-1.0, -0.02), (-0.72, -1.1), (0.1, -1.15), (0.85, -1.1 + slant * 0.5), (1.22, -0.28 + slant),
            (1.08, slant), (1.0, 0.12 + slant), (0.8, -0.75 + slant * 0.5), (0.1, -0.84), (-0.62, -0.85), (-1.0, -0.02),
        )  # fmt: skip
        lower = bezier(
            (0.1, 1.0), (0.65, 0.98 + slant * 0.4), (0.88, 0.45 + slant), (0.72, 0.86 + slant * 0.4), (0.1, 1.0)
        )
        fold = bezier((-0.6, -1.12), (0.1, -1.5), (0.85, -1.12 + slant * 0.6))

        sketch.fill(white * size + centre, WHITE)
        sketch.fill(np.minimum(white, (9, -0.42)) * size + centre, (214, 214, 232))  # the lid's shadow
        u, width = t["gaze"] * side, t["iris"]
        sketch.fill(ellipse(u, 0.02, width, 0.93) * size + centre, shade(iris, 0.72))
        body = ellipse(u, 0.02, width * 0.87, 0.85)
        tones = (shade(iris, 0.5), shade(iris, 0.22), iris, mix(iris, WHITE, 0.22), mix(iris, WHITE, 0.42))
        for level, tone in zip((-1.0, -0.35, -0.05, 0.3, 0.55), tones, strict=True):
            sketch.fill(np.maximum(body, (-9, level)) * size + centre, tone)
        sketch.fill(ellipse(u, 0.02, width * 0.4, 0.4) * size + centre, shade(iris, 0.86))
        glint, upright = t["highlight"], np.abs(size)  # light falls on both eyes from the same side
        sketch.fill(ellipse(u * side - 0.24, -0.38, 0.23 * glint, 0.27 * glint) * upright + centre, WHITE)
        sketch.fill(ellipse(u * side + 0.26, 0.45, 0.13 * glint, 0.14 * glint) * upright + centre, WHITE)
        sketch.fill(lash * size + centre, INK)
        sketch.fill(lower * size + centre, INK)
        sketch.line(fold * size + centre, self.skin_edge, 0.006)

    def _brows(self) -> None:
        t = self.trait
        y, slant = t["eye level"] - t["eye height"] - 0.045 - t["brow height"], t["brow slant"]
        for side in (-1, 1):
            brow = bezier(
                (-0.06, y + slant), (0, y - 0.035), (0.075, y + 0.005), (0, y - 0.015), (-0.06, y + slant + 0.01)
            )
            self.sketch.fill(brow * (side, 1) + (side * t["eye gap"] + self.turn, 0), self.hair.edge, 0.8)

    def _nose(self) -> None:
        x, y = self.turn * 2, self.trait["eye level"] + 0.095
        nose = bezier((-0.004, -0.012), (0.016, 0.004), (-0.008, 0.008), (0.002, 0), (-0.004, -0.012))
        self.sketch.fill(nose + np.array([x, y]), self.skin_edge)

    def _mouth(self) -> None:
        place = np.array([self.turn * 1.4, self.trait["mouth level"]])
        w, kind, ink = 0.06 * self.trait["mouth"], self.labels["mouth"], blush_shade(self.skin, 1.05)
        if kind == "smile":
            lips = bezier((-w, -0.006), (0, 0.05), (w, -0.006), (0, 0.03), (-w, -0.006))
            self.sketch.fill(lips + place, ink)
        elif kind == "neutral":
            lips = bezier((-w * 0.55, 0.008), (0, 0.002), (w * 0.55, 0.008), (0, 0.018), (-w * 0.55, 0.008))
            self.sketch.fill(lips + place, ink)
        else:
            lips = bezier(
                (-w, -0.01), (0, 0.004), (w, -0.01), (w * 0.75, 0.06), (0, 0.062), (-w * 0.75, 0.06), (-w, -0.01)
            )
            tongue = bezier((-w * 0.5, 0.045), (0, 0.018), (w * 0.5, 0.045), (0, 0.07), (-w * 0.5, 0.045))
            self.sketch.shape(lips + place, (176, 52, 66), ink, 0.007)
            self.sketch.fill(tongue + place, (244, 126, 132))

    def _glasses(self) -> None:
        t, sketch = self.trait, self.sketch
        frame, middle, apart = hsv(t["frame hue"], 0.7, 0.4), self.turn * 1.2, t["eye gap"] + 0.004
        rx, ry, corner, y = 0.118, 0.105, t["frame shape"], t["eye level"] + 0.012
        for side in (-1, 1):
            lens = symmetric((0, -ry), (rx * corner, -ry * 0.93), (rx, 0), (rx * corner, ry * 0.93), (0, ry))
            lens = lens + np.array([side * apart + middle, y])
            sketch.fill(lens, WHITE, 0.16)
            sketch.line(np.concatenate([lens, lens[:1]]), frame, 0.014)
            sketch.line(np.array([(side * (apart + rx) + middle, y - 0.02), (side * 0.33, y - 0.035)]), frame, 0.012)
        gap = apart - rx
        sketch.line(bezier((middle - gap, y - 0.01), (middle, y - 0.03), (middle + gap, y - 0.01)), frame, 0.013)
