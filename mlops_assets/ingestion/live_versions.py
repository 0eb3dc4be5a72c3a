"""Which versions of quarantine tables ingestion may still ask for: a release that broke off is finished from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.ingestion.load_state import standing
from mlops_assets.lake.files import list_folders
from mlops_assets.lake.tables import newest_version
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from collections.abc import Iterator


def released_versions(lake: str) -> Iterator[tuple[str, int]]:
    """Yield the quarantine tables, by place below the root of the lake, with the version that rows were released from."""
    for source in list_folders(join(lake, "raw")):
        for uri in list_folders(source):
            release = standing(uri, newest_version(uri)).release
            if release is not None:
                yield "quarantine" + uri.removeprefix(join(lake, "raw")), int(release["quarantine"])
