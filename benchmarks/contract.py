"""What a contract costs: 10M staged rows against one plain DuckDB scan of the same columns, in CPU seconds.

The scan is an aggregate that touches every value: the smallest and the greatest of each column. The contract has ten
rules about a row (ranges, closed lists, SQL, the window, the key), two null shares, a row count and freshness.

- `rules`: the one query that finds which rows break what, and counts. 1 % of the rows break a rule.
- `audit` of sound rows that come in order of key: all that happens before rows can be published.
- `audit` of rows of which 1 % are broken: these are set aside, so the others are copied, which is set beside a plain
  copy (`select *`); rows in any other order are sorted for publication whatever their contract says, which is set
  beside a plain sort.
"""

import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from statistics import median
from typing import Any

import pyarrow as pa

from benchmarks.report import at_most, conditions, finish
from mlops_assets.contract.audit import audit
from mlops_assets.contract.predicates import predicates
from mlops_assets.contract.scan import scan
from mlops_assets.contract.spec import TableSpec
from mlops_assets.lake.engine import attach_arrow, connect
from mlops_assets.lake.windows import Window

ROWS = 10_000_000
ROUNDS = 3
GOAL = 3.0
EACH = 100  # of so many rows one is broken
MONTH = Window("2024-03-01", datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC))
CITIES = ["Oslo", "Bergen", "Trondheim", "Stavanger"]
STATES = ["new", "paid", "sent", "returned"]
SPEC = TableSpec.model_validate(
    {
        "description": "One order.",
        "key": ["order_id"],
        "time_column": "placed_at",
        "columns": {
            "order_id": "BIGINT",
            "placed_at": "TIMESTAMPTZ",
            "amount": "DOUBLE",
            "quantity": "INTEGER",
            "city": "VARCHAR",
            "state": "VARCHAR",
            "customer": "BIGINT",
            "delivered_at": "TIMESTAMPTZ",
        },
        "rules": [
            {"name": "customer_present", "sql": "customer is not null"},
            {"name": "delivered_after", "sql": "delivered_at is null or delivered_at >= placed_at"},
            {"name": "usual", "sql": "amount * quantity < 1900", "severity": "warn"},
            {"name": "paid_in_full", "sql": "state is null or state <> 'new' or amount >= 0", "severity": "block"},
        ],
        "accepted_values": [{"column": "city", "values": CITIES}, {"column": "state", "values": STATES}],
        "ranges": [{"column": "amount", "min": 0, "max": 100}, {"column": "quantity", "min": 0, "max": 20}],
        "null_share": [{"column": "state", "max": 0.1}, {"column": "delivered_at", "max": 0.1}],
        "row_count": {"min": 1},
        "freshness_days": 31,
    }
)


def main() -> None:
    """Measure sound rows, broken rows and shuffled rows, then report the ratios."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    under = {**conditions(["duckdb", "pyarrow", "mlops-assets"]), "rows": rows, "broken_share": 1 / EACH}
    sound = measure(generated(rows, "i", broken="false"))
    broken = measure(generated(rows, "i"))
    shuffled = measure(generated(rows, "(i * 2654435761) % 4294967296"))
    kinds = {"sound": sound, "broken": broken, "shuffled": shuffled}
    figures = {
        **{f"{kind}_{name}_cpu_s": seconds for kind, taken in kinds.items() for name, seconds in taken.items()},
        "rules_over_scan": broken["rules"] / broken["scan"],
        "sound_audit_over_scan": sound["audit"] / sound["scan"],
        "broken_audit_over_scan": broken["audit"] / broken["scan"],
        "broken_audit_over_copy": broken["audit"] / broken["copy"],
        "shuffled_audit_over_scan": shuffled["audit"] / shuffled["scan"],
        "shuffled_audit_over_sort": shuffled["audit"] / shuffled["sort"],
    }
    goals = [at_most(name, figures[name], GOAL) for name in ("rules_over_scan", "sound_audit_over_scan")]
    finish("contract", figures=figures, goals=goals, under=under)


def generated(rows: int, key: str, *, broken: str = f"i % {EACH} = 7") -> pa.Table:
    """Return orders whose values are a function of the row's number; broken ones cost less than nothing."""
    with connect() as con:
        return con.sql(f"""
            select ({key})::bigint as order_id, timestamptz '{MONTH.start}' + to_milliseconds(i * 200) as placed_at,
                case when {broken} then -1 else (hash(i) % 10000) / 100 end::double as amount,
                (hash(i + 1) % 20)::integer as quantity, {CITIES}[1 + (hash(i + 2) % 4)::int] as city,
                case when hash(i + 3) % 20 > 0 then {STATES}[2 + (hash(i + 4) % 3)::int] end as state,
                (hash(i + 5) % 1000000)::bigint as customer,
                case when hash(i + 6) % 30 > 0 then placed_at + to_hours((hash(i + 7) % 90)::int) end as delivered_at
            from range({rows}) as numbers(i)""").to_arrow_table()


def measure(rows: pa.Table) -> dict[str, float]:
    """Return the CPU seconds of each thing done to the rows: medians of rounds in turn."""
    columns = ", ".join(f"min({name}), max({name})" for name in rows.column_names)
    with connect() as con:
        attach_arrow(con, "staged", rows)
        programs: dict[str, Callable[[], Any]] = {
            "scan": lambda: con.execute(f"select {columns} from staged").fetchall(),
            "copy": lambda: con.sql("select * from staged").to_arrow_table(),
            "sort": lambda: con.sql("select * from staged order by order_id").to_arrow_table(),
            "rules": lambda: scan(con, SPEC, predicates(SPEC, MONTH), name="shop/orders"),
            "audit": lambda: judged(rows),
        }
        return medians(programs)


def medians(programs: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Run the programs in turn, several times; return the median CPU seconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, program in programs.items():
            started = time.process_time()
            program()
            seconds[name].append(time.process_time() - started)
            print(f"{name}: {seconds[name][-1]:.3f} CPU s", flush=True)
    return {name: median(all_of) for name, all_of in seconds.items()}


def judged(rows: pa.Table) -> None:
    """Audit the rows, and see that what is broken was found."""
    with connect() as con:
        outcome = audit(con, rows, SPEC, name="shop/orders", window=MONTH, load_id="1", now=MONTH.end)
        broken = con.from_arrow(rows).filter("amount < 0").count("*").fetchall()[0][0]
    assert (outcome.quarantined.num_rows, outcome.clean.num_rows) == (broken, rows.num_rows - broken)


if __name__ == "__main__":
    main()
