import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from nijigan.training.best import BestSearch, Judged


def test_the_highest_is_the_best_and_patience_starts_anew_with_it() -> None:
    search = BestSearch()
    seen = [(0.5, True, 0), (0.6, True, 0), (0.55, False, 1), (0.6, False, 2), (0.61, True, 0), (0.1, False, 1)]
    for images, (score, best, stale) in enumerate(seen):
        assert search.record(Judged(score), images) is best
        assert search.stale == stale
    assert (search.score, search.images) == (0.61, 4)


def test_a_higher_yield_is_the_best_but_progress_only_where_its_interval_says_so() -> None:
    search = BestSearch()
    seen = [
        (5.0, True, 0), (5.5, True, 1), (6.0, True, 2),  # at a lower end of 5.0 it still touches the mark
        (6.1, True, 0), (7.0, True, 1), (6.5, False, 2), (7.2, True, 0),
    ]  # fmt: skip
    for images, (score, best, stale) in enumerate(seen):
        assert search.record(Judged(score, low=score - 1), images) is best
        assert search.stale == stale
    assert (search.score, search.images, search.mark) == (7.2, 6, 7.2)


def test_small_steps_add_up_to_progress() -> None:
    search = BestSearch()
    for step in range(50):
        score = 1 + 0.3 * step
        assert search.record(Judged(score, low=score - 1), step)
        assert search.stale < 4


def test_a_generator_of_few_kinds_of_faces_is_not_the_best() -> None:
    search = BestSearch()
    assert search.record(Judged(0.3, 1.0, 0.6, 0.28), 1)
    assert not search.record(Judged(0.9, 0.9, 0.14, 0.88), 2)  # one good face, over and over
    assert (search.score, search.stale) == (0.3, 1)
    assert search.record(Judged(0.4, 0.8, 0.31, 0.38), 3)
    assert (search.score, search.stale) == (0.4, 0)


def test_a_collapsed_generator_is_the_best_only_until_there_is_another() -> None:
    """A plain picture may have a yield of .3; it covers no real face."""
    search = BestSearch()
    assert search.record(Judged(0.3, 5.0, 0.0, 0.2), 1)
    assert search.record(Judged(0.2, 2.0, 0.4, 0.1), 2)
    assert not search.record(Judged(0.35, 5.0, 0.0, 0.3), 3)
    assert (search.score, search.images) == (0.2, 2)


def test_of_generators_that_people_keep_nothing_of_the_lowest_kid_is_the_best() -> None:
    search = BestSearch()
    seen = [  # yield, KID: an early DCGAN; the yields are noise
        (0.01, 7.4, True, 0), (0.02, 7.3, True, 0), (0.01, 7.1, True, 0), (0.0, 5.1, True, 0), (0.03, 5.2, False, 1),
        (0.12, 5.3, True, 0), (0.11, 4.0, False, 0), (0.11, 4.0, False, 1),
    ]  # fmt: skip
    for images, (score, kid, best, stale) in enumerate(seen):
        assert search.record(Judged(score, kid, 0.1, score - 0.005, kid + 0.05), images) is best
        assert search.stale == stale


@pytest.mark.parametrize("margin", [0.0, norm.ppf(0.975)])
def test_on_a_plateau_chance_passes_for_progress_as_often_as_calculated(margin: float) -> None:
    """The first of six equal generators is the mark; does any of the other five beat it?"""
    runs, rng = 20_000, np.random.default_rng(0)
    resets = 0
    for scores in rng.standard_normal((runs, 6)):
        search = BestSearch()
        stale = []
        for score in scores:
            search.record(Judged(score + 100, low=score + 100 - margin), 0)
            stale.append(search.stale)
        resets += 0 in stale[1:]
        assert search.score == pytest.approx(scores.max() + 100)
    none_of_five, _ = quad(lambda mark: norm.pdf(mark) * norm.cdf(mark + margin) ** 5, -8, 8)
    assert resets / runs == pytest.approx(1 - none_of_five, abs=0.015)
    assert resets / runs == pytest.approx(0.25 if margin else 5 / 6, abs=0.02)  # what the docstring says
