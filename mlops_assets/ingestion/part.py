"""One window of one table of a load, or a whole table: what every step of its publication needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mlops_assets.ingestion.load_state import standing
from mlops_assets.lake.tables import newest_version, with_windows
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlops_assets.contract.spec import TableSpec
    from mlops_assets.ingestion.load_state import Standing
    from mlops_assets.ingestion.spec import IngestionSpec
    from mlops_assets.lake.tables import Snapshot
    from mlops_assets.lake.windows import Window


@dataclass(frozen=True)
class Table:
    """One table of a source in a lake."""

    source: IngestionSpec
    name: str
    lake: str
    _versions: dict[int, tuple[Snapshot, dict[str, tuple[str, ...]]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def spec(self) -> TableSpec:
        return self.source.tables[self.name]

    @property
    def reference(self) -> str:
        return f"{self.source.name}/{self.name}"

    @property
    def uri(self) -> str:
        return join(self.lake, "raw", self.source.name, self.name)

    @property
    def quarantine_uri(self) -> str:
        return join(self.lake, "quarantine", self.source.name, self.name)

    @property
    def is_cumulative(self) -> bool:
        """Whether loads add to the whole table; otherwise each takes the place of its window, or of everything."""
        return self.source.partitions is None and self.spec.publish in ("append", "history", "upsert")

    def read(self, version: int) -> tuple[Snapshot, dict[str, tuple[str, ...]]]:
        """Return a version and the files of its windows; a version never changes, so it is read once."""
        if version not in self._versions:
            self._versions[version] = with_windows(self.uri, version)
        return self._versions[version]

    def standing(self, version: int | None = None) -> Standing:
        """Return how far its loads have come, by its newest version or by `version`."""
        return standing(self.uri, newest_version(self.uri) if version is None else version)


@dataclass(frozen=True)
class Part:
    """What one load brings for one window of a table, or for all of it.

    Attributes:
        window: None for a whole table.
        load_id: dlt's name of the load.
        now: When it arrived.
        is_complete: Whether it has every row of the window or table that the source has.
        before: Where the table stood when the source was asked.
        state: Where the cursor stands after the load.
    """

    table: Table
    window: Window | None
    load_id: str
    now: datetime
    is_complete: bool
    before: Standing
    state: Mapping[str, Any] | None = None

    @property
    def key(self) -> str | None:
        return self.window.key if self.window else None

    @property
    def unit(self) -> str | None:
        """The name under which the rows set aside are kept; None: they are all that is kept."""
        return f"{self.before.load + 1:08d} {self.load_id}" if self.table.is_cumulative else self.key

    def held(self, version: int | None) -> Snapshot | None:
        """Return as much of a version of the table as can hold a key of this part; None: there is no table.

        That is the window, unless a row can be corrected into another one because its key does not tell the window.
        """
        if version is None:
            return None
        spec, (whole, windows) = self.table.spec, self.table.read(version)
        if self.key is None or (spec.publish == "history" and spec.time_column not in spec.key):
            return whole
        return replace(whole, files=windows.get(self.key, ()))
