"""Shared by the tests of the page: one browser for each file of tests."""

import pytest

from browsing import chromium


@pytest.fixture(scope="module")
def browser():
    """A browser without a window. Its event loop runs until it is closed, so it cannot live for the whole session."""
    with chromium() as found:
        yield found
