"""The truth behind the shop: large orders and orders from the app come back more often."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FIRST_WEEK = datetime(2024, 1, 7, tzinfo=UTC)
CUSTOMERS = 60
LABEL_DELAY = timedelta(days=3)


@dataclass(frozen=True)
class Week:
    """How one week differs from the others.

    Attributes:
        scale: Factor on amounts, as when cents arrive for euros.
        effect: How strongly amounts decide returns.
    """

    rows: int = 420
    scale: float = 1.0
    effect: float = 1.5


def week_start(index: int) -> datetime:
    return FIRST_WEEK + timedelta(weeks=index)


def write_orders(path: Path, weeks: list[Week], *, seed: int = 0) -> None:
    """Write the orders of consecutive weeks; the same arguments give the same file."""
    tables = [_orders(index, week, np.random.default_rng([seed, index])) for index, week in enumerate(weeks)]
    pq.write_table(pa.concat_tables(tables), path)


def _orders(index: int, week: Week, rng: np.random.Generator) -> pa.Table:
    micros = np.sort(rng.integers(0, 7 * 24 * 3600 * 1_000_000, week.rows))
    amount = np.round(rng.lognormal(3.5, 0.6, week.rows), 2)
    channel = rng.choice(["app", "web", "store"], week.rows, p=[0.4, 0.4, 0.2])
    logit = -2 + week.effect * (np.log(amount) - 3.5) + 1.0 * (channel == "app")
    returned = rng.random(week.rows) < 1 / (1 + np.exp(-logit))
    start = int(week_start(index).timestamp() * 1_000_000)
    return pa.table(
        {
            "order_id": pa.array(np.arange(week.rows) + index * 1_000_000, pa.int64()),
            "customer": pa.array([f"c{n}" for n in rng.integers(0, CUSTOMERS, week.rows)], pa.string()),
            "ordered_at": pa.array(start + micros, pa.timestamp("us", "UTC")),
            "amount": pa.array(amount * week.scale),
            "channel": pa.array(channel.tolist(), pa.string()),
            "returned": pa.array(returned),
        }
    )
