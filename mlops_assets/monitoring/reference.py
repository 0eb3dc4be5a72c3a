"""The past that a model version brings along: its bins, and its training windows counted on them.

Without it a new version would be blind until enough windows had been scored. Saved beside the model as `reference_profile.json`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.decoding import converted
from mlops_assets.predictor.outputs import MONITORED
from mlops_assets.stats.grid import Grid, Kind, build_grid
from mlops_assets.stats.profile import Profile, profile

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.lake.windows import Window

PARTIAL_SHARE = 0.5  # training windows with fewer rows than this share of the median are cut ones, not typical ones


@dataclass(frozen=True)
class Reference:
    """The bins of one model version and the profiles of its training windows, by window key."""

    grid: Grid
    windows: dict[str, Profile]
    schema_version: int = 1

    def to_json(self) -> bytes:
        """Return the reference as JSON; the same reference gives the same bytes."""
        return msgspec.json.encode(self, order="deterministic")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Reference:
        """Read what `to_json` wrote, already parsed."""
        return converted(data, cls)


def build_reference(
    table: pa.Table, outputs: Mapping[str, pa.Array[Any]], kinds: Mapping[str, Kind], *, windows: Sequence[Window]
) -> Reference:
    """Choose the bins from training rows and count every whole training window on them.

    Args:
        table: Training rows with `prediction_time` and the features.
        outputs: What the model says of each row (`predictor.outputs`).
        kinds: Features to monitor; the outputs that can be counted are added.
        windows: Windows to count; those that hold few of the rows are left out.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    scored, counted = table, dict(kinds)
    for name, kind in MONITORED.items():
        if name in outputs:
            scored, counted[name] = scored.append_column(name, outputs[name]), kind
    grid = build_grid(scored, counted)
    at = pc.field("prediction_time")
    inside = {
        window.key: scored.filter((at >= pa.scalar(window.start)) & (at < pa.scalar(window.end))) for window in windows
    }
    typical = median([part.num_rows for part in inside.values() if part.num_rows] or [0])
    whole = {key: part for key, part in inside.items() if part.num_rows >= max(1, PARTIAL_SHARE * typical)}
    return Reference(grid, {key: profile(part, grid) for key, part in whole.items()})


def past_windows(
    reference: Reference, stored: Mapping[str, Profile], *, before: str, held: Collection[str]
) -> list[tuple[str, Profile]]:
    """Return what a window may be compared with: training windows and stored ones on the same bins, oldest first.

    Args:
        reference: The past of the routed version.
        stored: Profiles of scored windows, by key; where a training window has the same key, the scored one counts.
        before: Key of the window to compare.
        held: Keys of windows under investigation; they are nobody's normal past.
    """
    same_bins = {
        key: stored_profile for key, stored_profile in stored.items() if stored_profile.grid_id == reference.grid.id
    }
    known = {**reference.windows, **same_bins}
    return [(key, known[key]) for key in sorted(known) if key < before and key not in held]
