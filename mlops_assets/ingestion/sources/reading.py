"""What one load asks of a source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_assets.ingestion.sources.secrets import Secrets
    from mlops_assets.ingestion.spec import IngestionSpec
    from mlops_assets.lake.windows import Window


@dataclass(frozen=True)
class Reading:
    """One load of some tables of a source.

    Attributes:
        spec: The file.
        tables: Which of its tables.
        window: The span to read; None for a source without partitions.
        lag_days: How far before its last value a cursor starts.
        secrets: Where secrets come from.
    """

    spec: IngestionSpec
    tables: Sequence[str]
    window: Window | None
    lag_days: float
    secrets: Secrets

    def normalized(self, name: str) -> str:
        """Return a name of the source as a column's or a table's name, as dlt makes it."""
        from dlt.common.normalizers.naming.snake_case import NamingConvention

        return NamingConvention().normalize_identifier(name)

    def declared(self, table: str, name: str) -> str:
        """Return the declared type of the column that a name of the source becomes."""
        return self.spec.tables[table].columns[self.normalized(name)]
