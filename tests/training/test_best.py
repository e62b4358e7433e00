import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from nijigan.training.best import BestSearch


def test_the_lowest_is_the_best_and_patience_starts_anew_with_it() -> None:
    search = BestSearch()
    seen = [(5.0, True, 0), (4.0, True, 0), (4.5, False, 1), (4.0, False, 2), (3.9, True, 0), (9.0, False, 1)]
    for images, (kid, best, stale) in enumerate(seen):
        assert search.record(kid, images) is best
        assert search.stale == stale
    assert (search.kid, search.images) == (3.9, 4)


def test_a_lower_kid_is_the_best_but_progress_only_where_its_interval_says_so() -> None:
    search = BestSearch()
    seen = [
        (5.0, True, 0), (4.5, True, 1), (4.0, True, 2),  # at an upper end of 5.0 it still touches the mark
        (3.9, True, 0), (3.0, True, 1), (3.5, False, 2), (2.8, True, 0),
    ]  # fmt: skip
    for images, (kid, best, stale) in enumerate(seen):
        assert search.record(kid, images, kid + 1) is best
        assert search.stale == stale
    assert (search.kid, search.images, search.mark) == (2.8, 6, 2.8)


def test_small_steps_add_up_to_progress() -> None:
    search = BestSearch()
    for step in range(50):
        kid = 100 - 0.3 * step
        assert search.record(kid, step, kid + 1)
        assert search.stale < 4


@pytest.mark.parametrize("margin", [0.0, norm.ppf(0.975)])
def test_on_a_plateau_chance_passes_for_progress_as_often_as_calculated(margin: float) -> None:
    """The first of six equal generators is the mark; does any of the other five beat it?"""
    runs, rng = 20_000, np.random.default_rng(0)
    resets = 0
    for kids in rng.standard_normal((runs, 6)):
        search = BestSearch()
        stale = []
        for kid in kids:
            search.record(kid, 0, kid + margin)
            stale.append(search.stale)
        resets += 0 in stale[1:]
        assert search.kid == kids.min()
    none_of_five, _ = quad(lambda mark: norm.pdf(mark) * norm.sf(mark - margin) ** 5, -8, 8)
    assert resets / runs == pytest.approx(1 - none_of_five, abs=0.015)
    assert resets / runs == pytest.approx(0.25 if margin else 5 / 6, abs=0.02)  # what the docstring says


def test_checkpoints_from_before_the_mark_are_taken_in() -> None:
    search = BestSearch(**{"kid": 4.0, "images": 7, "stale": 2, "stopped": False})
    assert not search.record(4.5, 8, 4.6)
    assert (search.kid, search.images, search.stale) == (4.0, 7, 0)  # patience begins anew, once
