"""The shop as a code location of real processes."""

from collections.abc import Iterator

import pytest
from shop.location import Location, make_location


@pytest.fixture
def location(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Location]:
    """Return the shop, where every test of the process has its own."""
    yield from make_location(tmp_path_factory.getbasetemp() / "location", monkeypatch)
