"""One audit of the shop's orders, as tests ask for it."""

from typing import Any

import pyarrow as pa
from ingestion.world import NOW, day, shop_spec

from mlops_assets.contract.audit import Audit, audit
from mlops_assets.contract.findings import Finding
from mlops_assets.lake.engine import connect
from mlops_assets.lake.windows import Window

FIRST_DAY = day(1)


def judge(
    table: pa.Table, *, window: Window | None = FIRST_DAY, now=NOW, published=None, earlier_rows=(), **declared: Any
) -> Audit:
    """Judge rows; keywords beyond the audit's own go to the table's declaration."""
    spec = shop_spec(partitioned=window is not None, **declared).tables["orders"]
    held: dict[str, Any] = {"published": published, "earlier_rows": earlier_rows}
    with connect() as con:
        return audit(con, table, spec, name="shop/orders", window=window, load_id="L1", now=now, **held)


def finding(outcome: Audit, rule: str) -> Finding:
    """Return what one check found."""
    return next(finding for finding in outcome.findings if finding.rule == rule)
