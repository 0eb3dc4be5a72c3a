"""A release from quarantine that broke off can be finished whenever somebody comes to it, maintenance or not."""

import pyarrow as pa

from mlops_assets.assets.maintenance import MaintenanceConfig, maintain_lake
from mlops_assets.ingestion.live_versions import released_versions
from mlops_assets.ingestion.load_state import Standing
from mlops_assets.lake.tables import overwrite, read
from mlops_assets.lake.uris import join


def test_the_version_that_rows_were_released_from_stays_readable(tmp_path):
    lake = str(tmp_path)
    quarantine, raw = (join(lake, area, "shop", "orders") for area in ("quarantine", "raw"))
    released_from = overwrite(quarantine, pa.table({"id": [1, 2]}))
    later = [overwrite(quarantine, pa.table({"id": [n]})) for n in (3, 4)]
    release = {"unit": None, "quarantine": released_from, "rows": "2:c0"}
    overwrite(raw, pa.table({"id": [0]}), properties=Standing(release=release).facts())
    overwrite(join(lake, "raw", "shop", "customers"), pa.table({"id": [0]}), properties=Standing().facts())
    (tmp_path / "raw" / "shop" / "elsewhere" / "_external").mkdir(parents=True)

    assert list(released_versions(lake)) == [("quarantine/shop/orders", released_from)]
    done = {one.table: one for one in maintain_lake(lake, MaintenanceConfig(retention_days=0))}

    assert read(quarantine, version=released_from)["id"].to_pylist() == [1, 2]
    assert len(done["quarantine/shop/orders"].removed) == 1
    assert read(quarantine)["id"].to_pylist() == [4]
    assert later[-1] > released_from
