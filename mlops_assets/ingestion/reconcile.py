"""The full comparison with the source, for what came later than `lag_days`: all of it is read again.

What differs is published by the mode of its table; what is equal stays as it is, down to the version.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING

from mlops_assets.ingestion.ingest import ingest
from mlops_assets.ingestion.quality_page import quality_page
from mlops_assets.lake.files import list_files
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from mlops_assets.ingestion.ingest import Published
    from mlops_assets.ingestion.spec import IngestionSpec
    from mlops_assets.lake.windows import Window


def reconcile(spec: IngestionSpec, *, lake: str, folder: Path, now: datetime) -> list[Published]:
    """Read the source again, whole or as far back as declared, and publish what differs.

    A window that was never loaded is not loaded here.

    Args:
        lake: Root of the lake.
        folder: For dlt's working files.
        now: Windows that are over by then are read again.

    Raises:
        LoadOvertaken: Another load of a whole table was published meanwhile.
    """
    spans = [()] if spec.partitions is None else _unbroken(known_windows(spec, lake, now))
    told = [
        published
        for windows in spans
        for published in ingest(spec, list(spec.tables), windows=windows, lake=lake, folder=folder, now=now, full=True)
    ]
    for table in dict.fromkeys(published.table for published in told):
        quality_page(lake, spec, table)
    return told


def known_windows(spec: IngestionSpec, lake: str, now: datetime) -> list[Window]:
    """Return the windows that were loaded before, oldest first, as far back as the source is compared."""
    assert spec.partitions is not None  # or there are no windows
    files = [file for table in spec.tables for file in list_files(join(lake, "verdicts", spec.name, table))]
    loaded = {PurePath(file).stem for file in files}
    days = spec.reconcile.look_back_days
    since = None if days is None else now - timedelta(days=days)
    windows = spec.partitions.windows(now)
    return [one for one in windows if one.key in loaded and (since is None or one.end > since)]


def _unbroken(windows: Sequence[Window]) -> list[list[Window]]:
    """Cut windows where one is missing: a source is asked for a span without gaps."""
    spans: list[list[Window]] = []
    for window in windows:
        if spans and spans[-1][-1].end == window.start:
            spans[-1].append(window)
        else:
            spans.append([window])
    return spans
