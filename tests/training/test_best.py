from nijigan.training.best import BestSearch


def test_the_lowest_is_the_best_and_patience_starts_anew_with_it() -> None:
    search = BestSearch()
    seen = [(5.0, True, 0), (4.0, True, 0), (4.5, False, 1), (4.0, False, 2), (3.9, True, 0), (9.0, False, 1)]
    for images, (kid, best, stale) in enumerate(seen):
        assert search.record(kid, images) is best
        assert search.stale == stale
    assert (search.kid, search.images) == (3.9, 4)
