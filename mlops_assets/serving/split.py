"""Which rows of a request fall to the challenger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.rollout.assignment import bucket_of, hash_of, threshold, unit_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_assets.rollout.state import Traffic
    from mlops_assets.serving.body import Record


def units_of(traffic: Traffic, rows: Sequence[Record], event_id: str) -> list[bytes]:
    """Return the hash of the unit of each row; a row that lacks a column of it counts for the request itself."""
    names, salt = traffic.assign_by, traffic.salt
    own = b""
    hashes: list[bytes] = []
    for row in rows:
        values = [row.get(name) for name in names]
        if not values or None in values:
            own = own or hash_of(unit_of([event_id]), salt)
            hashes.append(own)
        else:
            hashes.append(hash_of(unit_of(values), salt))
    return hashes


def challengers_rows(traffic: Traffic, units: Sequence[bytes]) -> list[int]:
    """Return the positions of the rows that fall to the challenger; in the shadow none does."""
    below = 0 if traffic.is_shadow else threshold(traffic.share)
    return [place for place, unit in enumerate(units) if bucket_of(unit) < below]
