"""Drawn faces."""
import numpy as np
from nijigan.data.artist import *
from nijigan.data.artist import Artist, TRAITS, JITTERS
PRIORS = {
    "hair": {"brown": 0.16, "blonde": 0.16, "black": 0.13, "blue": 0.12, "pink": 0.11, "purple": 0.10, "silver": 0.07, "green": 0.06, "red": 0.06, "orange": 0.03},
    "eyes": {"blue": 0.24, "brown": 0.17, "green": 0.15, "red": 0.13, "purple": 0.12, "yellow": 0.09, "pink": 0.06, "gray": 0.04},
    "style": {"long": 0.3, "short": 0.2, "bob": 0.18, "twintails": 0.14, "ponytail": 0.1, "buns": 0.08},
    "mouth": {"smile": 0.5, "open": 0.3, "neutral": 0.2},
    "glasses": {"no": 0.85, "yes": 0.15},
    "ribbon": {"no": 0.7, "yes": 0.3},
    "blush": {"no": 0.6, "yes": 0.4},
}
ATTRIBUTES = {k: tuple(v) for k, v in PRIORS.items()}
_CUM = {k: np.cumsum(list(v.values())) for k, v in PRIORS.items()}
_LOW = np.array([a for a, _ in TRAITS.values()]); _SPAN = np.array([b - a for a, b in TRAITS.values()])
def draw_face(seed, resolution=64, **fixed):
    rng = np.random.default_rng(seed)
    u = rng.random(len(ATTRIBUTES) + len(TRAITS) + JITTERS)
    labels = {k: v[min(int(np.searchsorted(_CUM[k], x)), len(v) - 1)] for (k, v), x in zip(ATTRIBUTES.items(), u)}
    labels |= fixed
    trait = dict(zip(TRAITS, (_LOW + _SPAN * u[len(ATTRIBUTES):-JITTERS]).tolist()))
    return Artist(labels, trait, 2 * u[-JITTERS:] - 1).draw(resolution), labels
