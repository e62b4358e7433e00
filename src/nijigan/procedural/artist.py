"""The artist: draws an anime-like face from labels and random numbers, part by part, from the back to the front.

Coordinates are in units of the picture's side, relative to its centre; y points down. Light comes from the upper left.
"""

from collections.abc import Mapping

import numpy as np

from nijigan.aliases import Images
from nijigan.procedural.hair import Hair
from nijigan.procedural.palette import EYES, INK, LIPS, ROSE, TONGUE, WHITE, blend, blush_shade, hsv, shade, vary
from nijigan.procedural.sketch import Points, Sketch, bezier, ellipse, mirrored, smooth, stroke

TRAITS: dict[str, tuple[float, float]] = {
    "tilt": (-7, 7),
    "scale": (1.03, 1.12),
    "shift x": (-0.02, 0.02),
    "shift y": (-0.01, 0.015),
    "turn": (-1, 1),
    "skin": (0, 1),
    "skin warmth": (0, 0.4),
    "cheeks": (0.255, 0.275),
    "jaw": (0.85, 1.1),
    "chin": (0.335, 0.36),
    "neck": (0.065, 0.085),
    "cloth hue": (0, 1),
    "cloth value": (0.35, 1),
    "eye width": (0.084, 0.1),
    "eye height": (0.098, 0.122),
    "eye gap": (0.132, 0.146),
    "eye level": (0.08, 0.1),
    "eye slant": (-0.18, 0.16),
    "iris": (0.66, 0.78),
    "gaze": (-0.07, 0.07),
    "glint": (0.85, 1.2),
    "eye hue": (-1, 1),
    "eye value": (-1, 1),
    "brow height": (0.0, 0.03),
    "brow slant": (-0.02, 0.025),
    "mouth": (0.9, 1.25),
    "mouth level": (0.235, 0.255),
    "hair hue": (-1, 1),
    "hair saturation": (-1, 1),
    "hair value": (-1, 1),
    "volume": (0.98, 1.07),
    "parting": (-0.15, 0.15),
    "strands": (4, 8),
    "sweep": (0.0, 0.8),
    "fringe": (-0.06, 0.01),
    "fringe depth": (0.03, 0.11),
    "forehead": (-0.1, 0.12),
    "lock": (-0.05, 0.06),
    "wave": (-1, 1),
    "side": (-1, 1),
    "ahoge": (-1, 1),
    "shine": (0.25, 0.5),
    "ribbon hue": (0.5, 1.12),
    "frame hue": (0, 1),
    "frame corner": (0.55, 1.0),
    "background hue": (0, 1),
    "background turn": (-0.15, 0.15),
    "background saturation": (0, 0.3),
}
"""Properties that vary from face to face in addition to the labels. Each is uniformly distributed between two bounds.

The tilt is in degrees. "eye slant", "iris" and "gaze" are in halves of the eye's height or width. Properties with the
bounds -1 and 1 are relative.
"""

JITTERS = 15
"""The number of further random numbers in [-1, 1], which make strands differ."""


class Artist:
    """One face.

    Args:
        labels: values of hair, eyes, style, mouth, glasses, ribbon and blush.
        trait: a number for each of `TRAITS`, within its bounds.
        jitter: `JITTERS` numbers in [-1, 1].
    """

    def __init__(self, labels: Mapping[str, str], trait: Mapping[str, float], jitter: Points) -> None:
        self.labels, self.trait, self.sketch = labels, trait, Sketch()
        self.hair = Hair(labels, trait, jitter, self.sketch)
        tan = blend((255, 240, 230), (224, 172, 132), trait["skin"] ** 2)
        self.skin = blend(tan, (255, 224, 202), trait["skin warmth"])
        self.skin_shadow, self.skin_edge = blush_shade(self.skin, 0.24), blush_shade(self.skin, 0.62)
        self.turn = 0.02 * trait["turn"]  # shift of the features when the head turns

    def draw(self, resolution: int) -> Images:
        """Paint the face: uint8, resolution×resolution×3."""
        t, labels = self.trait, self.labels
        self.hair.behind()
        self._body()
        self._head()
        self.hair.shadow(self.skin_shadow)
        if labels["blush"] == "yes":
            self._blush()
        self._nose()
        self._mouth()
        self._eyes()
        if labels["glasses"] == "yes":
            self._glasses()
        self.hair.before()
        self._brows()
        if labels["ribbon"] == "yes":
            self.hair.ribbon()
        hue, saturation = t["background hue"], t["background saturation"]
        ends = hsv(hue, 0.4 * saturation, 1.0), hsv(hue + t["background turn"], saturation, 0.97)
        return self.sketch.render(ends, resolution, t["tilt"], t["scale"], (t["shift x"], t["shift y"]))

    def _body(self) -> None:
        sketch, n = self.sketch, self.trait["neck"]
        cloth = hsv(self.trait["cloth hue"], 0.5, self.trait["cloth value"])
        seam = shade(cloth, 0.6)
        shoulder = bezier((0.0, 0.38), (0.32, 0.41), (0.52, 0.52), (0.6, 0.58), (0.62, 0.9))
        neck = bezier((n, 0.2), (n, 0.36), (n + 0.03, 0.4), (0.08, 0.47), (0.0, 0.53))
        shadow = bezier((n, 0.3), (n, 0.33), (n, 0.365), (0.05, 0.41), (0.0, 0.415))
        sketch.shape(mirrored(shoulder), cloth, seam)
        sketch.shape(mirrored(neck), self.skin, self.skin_edge, 0.008)
        sketch.fill(mirrored(shadow), self.skin_shadow)
        collar = WHITE if self.trait["cloth value"] < 0.75 else blend(cloth, WHITE, 0.6)
        half = np.array([(n + 0.012, 0.385), (0.01, 0.53), (0.12, 0.58), (n + 0.1, 0.4)])
        for side in (-1, 1):
            sketch.shape(half * (side, 1), collar, seam, 0.008)

    def _head(self) -> None:
        w, jaw, chin = self.trait["cheeks"], self.trait["jaw"], self.trait["chin"]
        ear = smooth((w * 0.96, 0.03), (w + 0.035, 0.02), (w + 0.03, 0.11), (w * 0.94, 0.16))
        for side in (-1, 1):
            self.sketch.shape(ear * (side, 1), self.skin, self.skin_edge, 0.008)
        right = [(w * 0.8, -0.2), (w, 0.0), (w * 0.975, 0.14), (0.185 * jaw, chin - 0.085), (0.08 * jaw, chin - 0.018)]
        face = smooth((0, -0.3), *right, (0, chin), *[(-x, y) for x, y in reversed(right)])
        self.sketch.shape(face, self.skin, self.skin_edge, 0.009)

    def _blush(self) -> None:
        """Rosy cheeks, below the eyes and inside the jaw, with three strokes each."""
        t = self.trait
        for side in (-1, 1):
            x, y = side * 0.145 * t["jaw"] + self.turn, t["eye level"] + t["eye height"] + 0.03
            self.sketch.fill(ellipse(x, y, 0.05, 0.031), blend(self.skin, ROSE, 0.28))
            self.sketch.fill(ellipse(x, y, 0.036, 0.021), blend(self.skin, ROSE, 0.52))
            for u in (x - 0.022, x, x + 0.022):
                tick = stroke((u + 0.006, y - 0.014), (u, y), (u - 0.006, y + 0.014), 0.007)
                self.sketch.fill(tick, blend(self.skin, shade(ROSE, 0.15), 0.9))

    def _eyes(self) -> None:
        """Both eyes, defined once in local coordinates: u away from the nose and v down, both in [-1, 1]."""
        t, sketch, slant, iris = self.trait, self.sketch, self.trait["eye slant"], self.trait["iris"]
        colour = vary(EYES[self.labels["eyes"]], t["eye hue"], 0, t["eye value"])
        white = smooth(
            (-0.86, 0.2), (-0.6, -0.6), (0.05, -0.92), (0.75, -0.58 + slant * 0.5), (0.98, 0.05 + slant),
            (0.72, 0.74 + slant * 0.4), (0.05, 0.98), (-0.6, 0.8),
        )  # fmt: skip
        lash = bezier(
            (-1.02, -0.02), (-0.74, -1.12), (0.1, -1.16), (0.88, -1.12 + slant * 0.5), (1.26, -0.26 + slant),
            (1.1, slant), (1.0, 0.16 + slant), (0.82, -0.74 + slant * 0.5), (0.1, -0.84), (-0.62, -0.84),
            (-1.02, -0.02),
        )  # fmt: skip
        lower = stroke((-0.1, 1.0), (0.7, 1.02 + slant * 0.4), (0.92, 0.42 + slant), 0.11)
        fold = stroke((-0.62, -1.16), (0.1, -1.48), (0.9, -1.14 + slant * 0.6), 0.07)
        body = ellipse(0, 0.02, iris * 0.88, 0.86)
        tones = (
            shade(colour, 0.52),
            shade(colour, 0.26),
            colour,
            blend(colour, WHITE, 0.2),
            blend(colour, WHITE, 0.42),
        )
        parts = [(ellipse(0, 0.02, iris, 0.94), shade(colour, 0.74))]
        for level, tone in zip((-1.0, -0.38, -0.1, 0.28, 0.54), tones, strict=True):
            parts.append((np.maximum(body, (-9, level)), tone))  # each band covers everything below its level
        parts.append((ellipse(0, 0, iris * 0.38, 0.4), shade(colour, 0.88)))
        glints = [(x, y, r * t["glint"]) for x, y, r in ((-0.25, -0.36, 0.25), (0.28, 0.46, 0.14))]
        for side in (-1, 1):
            width = t["eye width"] * (1 - 0.08 * max(0.0, t["turn"] * side))  # the far eye of a turned head
            upright = np.array([width, t["eye height"]])
            size = upright * (side, 1)
            centre = np.array([side * t["eye gap"] + self.turn * 1.2, t["eye level"]])
            middle = centre + np.array([t["gaze"] * width, 0])
            sketch.fill(white * size + centre, WHITE)
            sketch.fill(np.minimum(white, (9, -0.4)) * size + centre, (212, 212, 232))  # the shadow of the lid
            for part, tone in parts:
                sketch.fill(part * size + middle, tone)
            for x, y, radius in glints:  # both eyes are lit from the same side
                sketch.fill(ellipse(x, y, radius, radius * 1.15) * upright + middle, WHITE)
            sketch.fill(lash * size + centre, INK)
            sketch.fill(lower * size + centre, INK)
            sketch.fill(fold * size + centre, self.skin_edge)

    def _brows(self) -> None:
        """Tapered strokes, drawn over the fringe as illustrators do."""
        t = self.trait
        y = t["eye level"] - t["eye height"] - 0.042 - t["brow height"]
        brow = stroke((-0.065, y + t["brow slant"]), (0.01, y - 0.03), (0.08, y + 0.01), 0.014)
        for side in (-1, 1):
            self.sketch.fill(brow * (side, 1) + np.array([side * t["eye gap"] + self.turn, 0]), self.hair.edge)

    def _nose(self) -> None:
        nose = stroke((-0.003, -0.012), (0.012, 0.006), (-0.008, 0.009), 0.011)
        self.sketch.fill(nose + np.array([self.turn * 2, self.trait["eye level"] + 0.108]), self.skin_edge)

    def _mouth(self) -> None:
        place = np.array([self.turn * 1.4, self.trait["mouth level"]])
        w, kind, ink = 0.062 * self.trait["mouth"], self.labels["mouth"], blush_shade(self.skin, 1.1)
        if kind == "smile":
            self.sketch.fill(stroke((-w, -0.006), (0, 0.044), (w, -0.006), 0.014) + place, ink)
        elif kind == "neutral":
            self.sketch.fill(stroke((-w / 2, 0.01), (0, 0.008), (w / 2, 0.01), 0.011) + place, ink)
        else:
            half = bezier((0, -0.005), (w / 2, -0.005), (w, -0.014), (w * 0.85, 0.066), (0, 0.066))
            tongue = np.minimum(ellipse(0, 0.062, 0.62 * w, 0.028), (9, 0.06))
            self.sketch.shape(mirrored(half) + place, LIPS, ink, 0.008)
            self.sketch.fill(tongue + place, TONGUE)

    def _glasses(self) -> None:
        """Two frames (round to square), a bridge, and the start of the temples."""
        t, sketch = self.trait, self.sketch
        frame, middle, apart = hsv(t["frame hue"], 0.65, 0.38), self.turn * 1.2, t["eye gap"] + 0.004
        radius, y, circle = 0.122, t["eye level"] + 0.014, ellipse(0, 0, 1, 1)
        lens = radius * np.sign(circle) * np.abs(circle) ** t["frame corner"]
        for side in (-1, 1):
            sketch.line(lens + np.array([side * apart + middle, y]), frame, 0.013)
            temple = np.array([(side * (apart + radius) + middle, y - 0.02), (side * 0.33, y - 0.035)])
            sketch.line(temple, frame, 0.012)
        gap = apart - radius
        sketch.line(bezier((middle - gap, y - 0.012), (middle, y - 0.032), (middle + gap, y - 0.012)), frame, 0.013)
