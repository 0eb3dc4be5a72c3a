"""A shop of its own for every test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ingestion import feed
from ingestion.world import Shop
from services import aws, bucket, moto

__all__ = ["aws", "bucket", "moto"]


@pytest.fixture
def deliver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Decide what the next runs of the source yield, cut to the asked interval only if the source would do so."""

    def decide(*items: Any) -> None:
        monkeypatch.setattr(feed, "deliver", lambda _table, _start, _end: items)

    return decide


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)
