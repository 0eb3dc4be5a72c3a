"""The data-quality page of a raw table in the lake, made anew from its verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.contract.page.render import render_page
from mlops_assets.contract.verdict import newest_verdicts
from mlops_assets.lake.files import write_bytes
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from mlops_assets.ingestion.spec import IngestionSpec

MOST_WINDOWS = 100


def quality_page(lake: str, spec: IngestionSpec, table: str) -> str:
    """Write the page of a table that has a verdict, and return its place."""
    declared = spec.tables[table]
    verdicts, total = newest_verdicts(lake, spec.name, table, count=MOST_WINDOWS, by_load=spec.partitions is None)
    page = render_page(
        declared, verdicts, reference=f"{spec.name}/{table}", owners=declared.owners or spec.owners, total=total
    )
    uri = join(lake, "quality", spec.name, f"{table}.html")
    write_bytes(uri, page)
    return uri
