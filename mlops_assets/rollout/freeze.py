"""When no rollout may go forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_assets.rollout.spec import FreezeSpec


def frozen_until(windows: Sequence[FreezeSpec], now: datetime) -> datetime | None:
    """Return when the window ends in which `now` lies, or nothing outside of all; of several the last end.

    >>> from mlops_assets.rollout.spec import FreezeSpec
    >>> weekend = FreezeSpec(start="0 16 * * 5", hours=64)
    >>> frozen_until([weekend], datetime(2024, 3, 2, tzinfo=UTC)).isoformat()
    '2024-03-04T08:00:00+00:00'
    >>> frozen_until([weekend], datetime(2024, 3, 5, tzinfo=UTC))
    """
    return max((end for window in windows if (end := _end(window, now)) > now), default=None)


def _end(window: FreezeSpec, now: datetime) -> datetime:
    """Return the end of the window that began last; an earlier one of the same length ends earlier."""
    from croniter import croniter

    after = now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)  # `get_prev` excludes where it starts
    return croniter(window.start, after).get_prev(datetime) + timedelta(hours=window.hours)
