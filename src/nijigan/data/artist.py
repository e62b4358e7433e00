"""The artist: turns labels and chance into a sketch of an anime-like face, part by part, from the back to the front.

Lengths are in units of the picture's side, measured from its centre, y down. Light comes from the upper left.
"""

from collections.abc import Mapping
from colorsys import hsv_to_rgb

import numpy as np

from nijigan.data.sketch import Colour, Points, Sketch, bezier, ellipse, pieces, smooth, symmetric
from nijigan.pictures import Images

HAIR_COLOURS: dict[str, Colour] = {
    "blonde": (247, 216, 124),
    "brown": (138, 88, 58),
    "black": (56, 52, 66),
    "blue": (78, 124, 220),
    "pink": (248, 156, 192),
    "purple": (146, 96, 204),
    "silver": (208, 212, 224),
    "green": (92, 180, 106),
    "red": (204, 52, 56),
    "orange": (242, 140, 54),
}
EYE_COLOURS: dict[str, Colour] = {
    "blue": (56, 124, 232),
    "brown": (142, 84, 46),
    "green": (52, 172, 92),
    "red": (214, 38, 52),
    "purple": (138, 72, 206),
    "yellow": (240, 190, 40),
    "pink": (250, 110, 170),
    "gray": (132, 138, 150),
}
HAIR_STYLES = ("long", "short", "bob", "twintails", "ponytail", "buns")

# What varies from face to face beside the labels, each uniformly between two bounds.
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
    "eye slant": (-0.35, 0.3),
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
    "frame shape": (0, 1),
    "background hue": (0, 1),
    "background saturation": (0, 0.38),
    "background turn": (-0.2, 0.2),
    "disc": (-0.3, 0.6),
}
JITTERS = 16  # further numbers in [-1, 1] that set strand apart from strand

_WHITE: Colour = (255, 255, 255)
_INK: Colour = (66, 40, 56)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    r, g, b = hsv_to_rgb(hue % 1, saturation, value)
    return round(255 * r), round(255 * g), round(255 * b)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with a share of `b`, 0 to 1."""
    return (
        round(a[0] + (b[0] - a[0]) * share),
        round(a[1] + (b[1] - a[1]) * share),
        round(a[2] + (b[2] - a[2]) * share),
    )


def shade(colour: Colour, depth: float) -> Colour:
    """A shadow of the colour, a little colder than it is: what an illustrator uses in place of black."""
    return (
        round(colour[0] * (1 - 0.62 * depth)),
        round(colour[1] * (1 - 0.72 * depth)),
        round(colour[2] * (1 - 0.52 * depth)),
    )


def blush_shade(skin: Colour, depth: float) -> Colour:
    """A shadow of the skin, warmer than it is."""
    return (
        round(skin[0] * (1 - 0.30 * depth)),
        round(skin[1] * (1 - 0.62 * depth)),
        round(skin[2] * (1 - 0.58 * depth)),
    )


def vary(colour: Colour, hue: float, saturation: float, value: float) -> Colour:
    r, g, b = colour
    return (
        min(255, max(0, round(r * (1 + 0.05 * value) + 7 * hue))),
        min(255, max(0, round(g * (1 + 0.05 * value) + 6 * saturation))),
        min(255, max(0, round(b * (1 + 0.05 * value) - 7 * hue))),
    )


class Artist:
    """One face: `draw` walks through the parts."""

    def __init__(self, labels: Mapping[str, str], trait: Mapping[str, float], jitter: Points) -> None:
        self.labels, self.trait, self.jitter = labels, trait, jitter
        t = trait
        self.sketch = Sketch()
        tan = t["skin"] ** 2
        self.skin = mix(mix((255, 238, 226), (226, 176, 138), tan), (255, 226, 206), 0.2 * t["skin warmth"] + 0.2)
        self.skin_edge, self.skin_shadow = blush_shade(self.skin, 0.62), blush_shade(self.skin, 0.26)
        self.hair = vary(HAIR_COLOURS[labels["hair"]], t["hair hue"], t["hair saturation"], t["hair value"])
        self.hair_back, self.hair_edge = shade(self.hair, 0.28), shade(self.hair, 0.62)
        self.hair_line = shade(self.hair, 0.34)
        self.hair_light = mix(self.hair, _WHITE, 0.5)
        self.radius = (0.325 * t["volume"], 0.36 * t["volume"])
        self.side = 1.0 if t["side"] > 0 else -1.0
        self.turn = t["turn"] * 0.02

    def draw(self, resolution: int) -> Images:
        t, labels = self.trait, self.labels
        self.disc()
        self.back_hair()
        self.body()
        self.head()
        if labels["blush"] == "yes":
            self.blush()
        self.eyes()
        self.nose()
        self.mouth()
        if labels["glasses"] == "yes":
            self.glasses()
        self.front_hair()
        self.brows()
        if labels["ribbon"] == "yes":
            self.ribbon()
        hue, saturation = t["background hue"], t["background saturation"]
        top = np.array(hsv(hue, saturation * 0.55, 1.0))
        bottom = np.array(hsv(hue + t["background turn"], saturation, 0.96))
        gradient = top + (bottom - top) * np.linspace(0, 1, 16)[:, None]
        return self.sketch.render(gradient, resolution, t["tilt"], t["scale"], (t["shift x"], t["shift y"]))

    def disc(self) -> None:
        t = self.trait
        if t["disc"] > 0:
            self.sketch.fill(ellipse(-0.3 * self.side, -0.15, t["disc"], t["disc"]), _WHITE, 0.4)

    def scalp(self, start: float = 180, end: float = 360, grow: float = 1.0) -> Points:
        """The outline of the hair over the skull, from the left temple over the crown to the right one."""
        rx, ry = self.radius
        return ellipse(0, -0.09, rx * grow, ry * grow, start, end)

    def back_hair(self) -> None:
        style, t = self.labels["style"], self.trait
        rx = self.radius[0]
        wave = 0.02 * t["wave"]
        if style == "long":
            down = bezier(
                (rx, -0.09),
                (rx + 0.03, 0.12),
                (rx + 0.03 + wave, 0.25),
                (rx + 0.03, 0.45),
                (rx + 0.07 - wave, 0.7),
                (0, 0.75),
                (-rx - 0.07 + wave, 0.7),
                (-rx - 0.03, 0.45),
                (-rx - 0.03 - wave, 0.25),
                (-rx - 0.03, 0.12),
                (-rx, -0.09),
            )
        elif style == "bob":
            low = 0.33 + t["lock"] * 0.5
            down = bezier(
                (rx, -0.09),
                (rx + 0.08, 0.14),
                (rx + 0.015, low),
                (rx - 0.06, low + 0.06),
                (0.15, low - 0.02),
                (0, low - 0.05),
                (-0.15, low - 0.02),
                (-rx + 0.06, low + 0.06),
                (-rx - 0.015, low),
                (-rx - 0.08, 0.14),
                (-rx, -0.09),
            )
        elif style == "short":
            low = 0.17 + t["lock"] * 0.4
            down = bezier(
                (rx, -0.09),
                (rx + 0.01, 0.05),
                (rx + 0.03, low - 0.02),
                (rx - 0.02, low),
                (rx - 0.03, low + 0.02),
                (rx - 0.03, low + 0.06),
                (rx - 0.01, low + 0.1),
                (0, low + 0.1),
                (-rx + 0.01, low + 0.1),
                (-rx + 0.03, low + 0.06),
                (-rx + 0.03, low + 0.02),
                (-rx + 0.02, low),
                (-rx - 0.03, low - 0.02),
                (-rx - 0.01, 0.05),
                (-rx, -0.09),
            )
        else:
            down = bezier(
                (rx, -0.09), (rx + 0.005, 0.12), (0.2, 0.25), (0, 0.3), (-0.2, 0.25), (-rx - 0.005, 0.12), (-rx, -0.09)
            )
        if style == "twintails":
            for side in (-1.0, 1.0):
                self.tail(side, 0.29, -0.2, 0.44, 0.5)
        elif style == "ponytail":
            self.tail(self.side, 0.2, -0.36, 0.42, 0.42)
        elif style == "buns":
            for side in (-1, 1):
                self.sketch.shape(ellipse(side * 0.25, -0.36, 0.115, 0.11), self.hair, self.hair_edge)
                self.sketch.line(
                    ellipse(side * 0.25, -0.36, 0.07, 0.065, 200 - 40 * side, 380 - 40 * side), self.hair_line, 0.008
                )
        self.sketch.shape(np.concatenate([self.scalp(), down]), self.hair_back, self.hair_edge)

    def tail(self, side: float, x: float, y: float, out: float, low: float) -> None:
        """A bunch of hair tied at (x, y) that swings out and falls."""
        wave = 0.04 * self.trait["wave"]
        flip = np.array([side, 1.0])
        outline = bezier(
            (x, y - 0.07),
            (out + 0.03, y - 0.1),
            (out + 0.05, y + 0.25),
            (out + 0.06 + wave, low - 0.1),
            (out - 0.05 + wave, low + 0.06),
            (out - 0.07, low - 0.08),
            (out - 0.1, low),
            (out - 0.13 + wave, low - 0.2),
            (out - 0.11, y + 0.25),
            (out - 0.1, y + 0.08),
            (x, y + 0.06),
        )
        self.sketch.shape(outline * flip, self.hair, self.hair_edge)
        strand = bezier(
            (x, y),
            (out - 0.01, y),
            (out - 0.02, y + 0.3),
            (out + wave, low - 0.15),
            (out - 0.06 + wave, low),
            (out - 0.03 + wave, low - 0.15),
            (out - 0.04, y + 0.3),
            (out - 0.03, y + 0.05),
            (x, y),
        )
        self.sketch.fill(strand * flip, self.hair_line)

    def body(self) -> None:
        t, sketch = self.trait, self.sketch
        cloth = hsv(t["cloth hue"], 0.55, t["cloth value"])
        n = t["neck"]
        sketch.shape(
            bezier(
                (-0.07, 0.38),
                (-0.3, 0.41),
                (-0.5, 0.52),
                (-0.6, 0.6),
                (-0.6, 0.9),
                (0, 0.9),
                (0.6, 0.9),
                (0.6, 0.6),
                (0.5, 0.52),
                (0.3, 0.41),
                (0.07, 0.38),
            ),
            cloth,
            shade(cloth, 0.6),
        )
        sketch.shape(
            bezier(
                (-n, 0.25),
                (-n, 0.36),
                (-n - 0.03, 0.4),
                (-0.07, 0.46),
                (0, 0.53),
                (0.07, 0.46),
                (n + 0.03, 0.4),
                (n, 0.36),
                (n, 0.25),
            ),
            self.skin,
            self.skin_edge,
            0.008,
        )
        sketch.fill(
            bezier((-n, 0.25), (-n, 0.33), (-n, 0.36), (0, 0.46), (n, 0.36), (n, 0.33), (n, 0.25)), self.skin_shadow
        )
        collar = _WHITE if t["cloth value"] < 0.75 else mix(cloth, _WHITE, 0.6)
        for side in (-1, 1):
            sketch.shape(
                np.array(
                    [(side * (n + 0.015), 0.385), (side * 0.01, 0.53), (side * 0.12, 0.58), (side * (n + 0.09), 0.4)]
                ),
                collar,
                shade(cloth, 0.6),
                0.008,
            )

    def head(self) -> None:
        t, sketch = self.trait, self.sketch
        w, jaw, chin = t["cheeks"], t["jaw"], t["chin"]
        for side in (-1, 1):
            ear = smooth(
                (side * w * 0.97, 0.02), (side * (w + 0.035), 0.01), (side * (w + 0.03), 0.1), (side * w * 0.95, 0.15)
            )
            sketch.shape(ear, self.skin, self.skin_edge, 0.008)
        face = symmetric(
            (0, -0.3),
            (w * 0.8, -0.2),
            (w, 0.0),
            (w * 0.97, 0.13),
            (0.19 * jaw, chin - 0.09),
            (0.085 * jaw, chin - 0.02),
            (0, chin),
        )
        sketch.shape(face, self.skin, self.skin_edge, 0.009)

    def blush(self) -> None:
        t = self.trait
        for side in (-1, 1):
            x, y = side * (t["eye gap"] + 0.045) + self.turn, t["eye level"] + 0.115
            self.sketch.fill(ellipse(x, y, 0.058, 0.034), (255, 96, 112), 0.28)
            self.sketch.fill(ellipse(x, y, 0.042, 0.023), (255, 84, 104), 0.32)

    def eyes(self) -> None:
        for side in (-1, 1):
            self.eye(side)

    def eye(self, side: int) -> None:
        """One eye in its own units: u outwards and v down, both in [-1, 1]."""
        t, sketch = self.trait, self.sketch
        narrow = 1 - 0.08 * max(0.0, t["turn"] * side)
        size = np.array([side * t["eye width"] * narrow, t["eye height"]])
        centre = np.array([side * t["eye gap"] + self.turn * 1.2, t["eye level"]])
        iris = vary(EYE_COLOURS[self.labels["eyes"]], t["eye hue"], 0, t["eye value"])
        slant = t["eye slant"] * 0.5

        white = smooth(
            (-0.88, 0.2),
            (-0.6, -0.6),
            (0.05, -0.92),
            (0.75, -0.55 + slant * 0.5),
            (0.98, 0.05 + slant),
            (0.72, 0.72 + slant * 0.4),
            (0.05, 0.97),
            (-0.62, 0.78),
        )
        sketch.fill(white * size + centre, _WHITE)
        sketch.fill(np.minimum(white, (9, -0.42)) * size + centre, (214, 214, 232))
        u, width = t["gaze"] * side, t["iris"]
        ring = ellipse(u, 0.02, width, 0.93)
        sketch.fill(ring * size + centre, shade(iris, 0.72))
        body = ellipse(u, 0.02, width * 0.87, 0.85)
        for level, tone in (
            (-1.0, shade(iris, 0.5)),
            (-0.35, shade(iris, 0.22)),
            (-0.05, iris),
            (0.3, mix(iris, _WHITE, 0.22)),
            (0.55, mix(iris, _WHITE, 0.42)),
        ):
            sketch.fill(np.maximum(body, (-9, level)) * size + centre, tone)
        sketch.fill(ellipse(u, 0.02, width * 0.4, 0.4) * size + centre, shade(iris, 0.86))
        glint = t["highlight"]
        light = np.array([abs(size[0]), size[1]])
        sketch.fill(ellipse(u * side - 0.24, -0.38, 0.23 * glint, 0.27 * glint) * light + centre, _WHITE)
        sketch.fill(ellipse(u * side + 0.26, 0.45, 0.13 * glint, 0.14 * glint) * light + centre, _WHITE)
        lash = bezier(
            (-1.0, -0.02),
            (-0.72, -1.1),
            (0.1, -1.15),
            (0.85, -1.1 + slant * 0.5),
            (1.22, -0.28 + slant),
            (1.08, 0.0 + slant),
            (1.0, 0.12 + slant),
            (0.8, -0.75 + slant * 0.5),
            (0.1, -0.84),
            (-0.62, -0.85),
            (-1.0, -0.02),
        )
        sketch.fill(lash * size + centre, _INK)
        sketch.fill(
            bezier((0.1, 1.0), (0.65, 0.98 + slant * 0.4), (0.88, 0.45 + slant), (0.72, 0.86 + slant * 0.4), (0.1, 1.0))
            * size
            + centre,
            _INK,
        )
        sketch.line(
            bezier((-0.6, -1.12), (0.1, -1.5), (0.85, -1.12 + slant * 0.6)) * size + centre, self.skin_edge, 0.006
        )

    def brows(self) -> None:
        t = self.trait
        for side in (-1, 1):
            y = t["eye level"] - t["eye height"] - 0.045 - t["brow height"]
            x, slant = side * t["eye gap"] + self.turn, t["brow slant"]
            brow = bezier(
                (x - side * 0.06, y + slant),
                (x, y - 0.035),
                (x + side * 0.075, y + 0.005),
                (x, y - 0.015),
                (x - side * 0.06, y + slant + 0.01),
            )
            self.sketch.fill(brow, self.hair_edge, 0.8)

    def nose(self) -> None:
        x, y = self.turn * 2.0, self.trait["eye level"] + 0.095
        self.sketch.fill(
            bezier(
                (x - 0.004, y - 0.012),
                (x + 0.016, y + 0.004),
                (x - 0.008, y + 0.008),
                (x + 0.002, y),
                (x - 0.004, y - 0.012),
            ),
            self.skin_edge,
        )

    def mouth(self) -> None:
        t, sketch = self.trait, self.sketch
        x, y, w, kind = self.turn * 1.4, t["mouth level"], 0.06 * t["mouth"], self.labels["mouth"]
        ink = blush_shade(self.skin, 1.05)
        if kind == "smile":
            sketch.fill(
                bezier((x - w, y - 0.006), (x, y + 0.05), (x + w, y - 0.006), (x, y + 0.03), (x - w, y - 0.006)), ink
            )
        elif kind == "neutral":
            sketch.fill(
                bezier(
                    (x - w * 0.55, y + 0.008),
                    (x, y + 0.002),
                    (x + w * 0.55, y + 0.008),
                    (x, y + 0.018),
                    (x - w * 0.55, y + 0.008),
                ),
                ink,
            )
        else:
            sketch.shape(
                bezier(
                    (x - w, y - 0.01),
                    (x, y + 0.004),
                    (x + w, y - 0.01),
                    (x + w * 0.75, y + 0.06),
                    (x, y + 0.062),
                    (x - w * 0.75, y + 0.06),
                    (x - w, y - 0.01),
                ),
                (176, 52, 66),
                ink,
                0.007,
            )
            sketch.fill(
                bezier(
                    (x - w * 0.5, y + 0.045),
                    (x, y + 0.018),
                    (x + w * 0.5, y + 0.045),
                    (x, y + 0.07),
                    (x - w * 0.5, y + 0.045),
                ),
                (244, 126, 132),
            )

    def glasses(self) -> None:
        t, sketch = self.trait, self.sketch
        frame = hsv(t["frame hue"], 0.7, 0.4)
        square = 0.55 + 0.35 * t["frame shape"]
        rx, ry, y = 0.118, 0.105, t["eye level"] + 0.012
        for side in (-1, 1):
            x = side * (t["eye gap"] + 0.004) + self.turn * 1.2
            lens = symmetric((0, -ry), (rx * square, -ry * 0.93), (rx, 0), (rx * square, ry * 0.93), (0, ry)) + (x, y)
            sketch.fill(lens, _WHITE, 0.16)
            sketch.line(np.concatenate([lens, lens[:1]]), frame, 0.014)
            sketch.line(np.array([(x + side * rx, y - 0.02), (side * 0.33, y - 0.035)]), frame, 0.012)
        gap = t["eye gap"] + 0.004 - rx
        sketch.line(
            bezier((self.turn * 1.2 - gap, y - 0.01), (self.turn * 1.2, y - 0.03), (self.turn * 1.2 + gap, y - 0.01)),
            frame,
            0.013,
        )

    def front_hair(self) -> None:
        t, sketch, style = self.trait, self.sketch, self.labels["style"]
        rx = self.radius[0]
        count = int(t["strands"])
        edges = np.linspace(-rx * 0.93, rx * 0.93, count + 1)
        edges[1:-1] += 0.02 * self.jitter[: count - 1]
        middles = (edges[1:] + edges[:-1]) / 2
        away = np.tanh((middles - t["parting"]) / 0.12)
        tips = np.stack(
            [
                middles + away * t["sweep"] * (edges[1:] - edges[:-1]) * 0.6,
                t["fringe"] + 0.025 * self.jitter[8 : 8 + count] + 0.07 * np.abs(middles / rx) ** 2,
            ],
            axis=1,
        )
        valleys = np.stack([edges, -0.13 + 0.015 * self.jitter[: count + 1]], axis=1)
        valleys[[0, -1], 1] = 0.0
        path = np.empty((4 * count + 1, 2))
        path[0::4] = valleys
        path[2::4] = tips
        path[1::4] = np.stack(
            [valleys[:-1, 0] * 0.8 + tips[:, 0] * 0.2, valleys[:-1, 1] * 0.35 + tips[:, 1] * 0.65], axis=1
        )
        path[3::4] = np.stack(
            [valleys[1:, 0] * 0.8 + tips[:, 0] * 0.2, valleys[1:, 1] * 0.35 + tips[:, 1] * 0.65], axis=1
        )
        fringe = pieces(path)
        length = {"long": 0.42, "bob": 0.3, "short": 0.12}.get(style, 0.24) + t["lock"]
        for side in (-1.0, 1.0):
            lock = bezier(
                (rx * 1.0, -0.12),
                (rx * 1.06, length * 0.5),
                (rx * 0.8, length),
                (rx * 0.78, length * 0.5),
                (rx * 0.66, -0.1),
                (rx * 0.7, -0.25),
                (rx * 1.0, -0.12),
            ) * (side, 1)
            sketch.shape(lock, self.hair, self.hair_edge)
        sketch.shape(np.concatenate([self.scalp(), fringe[::-1]]), self.hair, self.hair_edge)
        crown = np.array([t["parting"] * 0.6, -0.42])
        for i in range(1, count):
            root = valleys[i]
            top = crown + (root - crown) * 0.35
            bend = (root + top) / 2 + (np.sign(root[0] - crown[0]) * 0.02, -0.01)
            sketch.fill(
                pieces(np.stack([root - (0.006, 0), bend, top, bend + (0.006, 0), root + (0.006, 0)])), self.hair_line
            )
        teeth = 13
        angles = np.radians(np.linspace(222, 318, teeth))
        taper = np.sin(np.linspace(0, np.pi, teeth)) ** 0.6
        zigzag = 0.03 * np.where(np.arange(teeth) % 2, 1, -1) * taper
        direction = np.stack([np.cos(angles) * rx, np.sin(angles) * self.radius[1]], axis=1)
        outer = direction * (0.70 + 0.035 * taper + zigzag)[:, None]
        inner = direction * (0.70 - 0.045 * taper + zigzag * 1.3)[:, None]
        sketch.fill(np.concatenate([outer, inner[::-1]]) + (0, -0.09), self.hair_light, t["shine"])
        if t["ahoge"] > 0.2:
            s = self.side
            sketch.shape(
                bezier((-0.015, -0.43), (0.0, -0.52), (s * 0.1, -0.5), (s * 0.03, -0.49), (0.02, -0.43)),
                self.hair,
                self.hair_edge,
                0.008,
            )

    def ribbon(self) -> None:
        t, sketch, s = self.trait, self.sketch, -self.side
        colour = hsv(t["ribbon hue"], 0.65, 0.95)
        edge, dark = shade(colour, 0.6), shade(colour, 0.25)
        place = np.array([s * 0.2, -0.33])
        for side in (-1, 1):
            sketch.shape(
                bezier(
                    (0, 0),
                    (side * 0.04, 0.06),
                    (side * 0.08, 0.12),
                    (side * 0.09, 0.09),
                    (side * 0.12, 0.08),
                    (side * 0.06, 0.03),
                    (0, 0),
                )
                + place,
                dark,
                edge,
                0.008,
            )
            sketch.shape(
                smooth(
                    (side * 0.015, 0),
                    (side * 0.09, -0.075),
                    (side * 0.13, -0.06),
                    (side * 0.135, 0.03),
                    (side * 0.09, 0.05),
                )
                + place,
                colour,
                edge,
            )
            sketch.fill(
                bezier(
                    (side * 0.02, 0), (side * 0.06, -0.02), (side * 0.09, -0.01), (side * 0.06, 0.015), (side * 0.02, 0)
                )
                + place,
                dark,
            )
        sketch.shape(ellipse(0, 0, 0.032, 0.034) + place, colour, edge, 0.008)
