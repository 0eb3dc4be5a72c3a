"""The shop as a code location of real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from shop.location import Location, make_location


@pytest.fixture
def location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Location]:
    yield from make_location(tmp_path, monkeypatch)
