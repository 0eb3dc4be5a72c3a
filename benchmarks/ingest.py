"""What it costs to bring 336,776 flights into the lake: read, staged, judged and published by window, against DuckDB alone.

The floor reads the same CSV into a table and writes that as one Parquet file: no contract, no windows, no history. Both use
one process and are measured in turn.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.report import Goal, at_most, conditions, finish
from mlops_assets.components.catalog import read_catalog
from mlops_assets.definitions import DEFS
from mlops_assets.ingestion.spec import IngestionSpec

ROUNDS = 5
NOW = datetime(2014, 1, 5, tzinfo=UTC)
PACKAGES = ["dlt", "deltalake", "duckdb", "pyarrow"]
RATIO, ROWS_PER_SECOND = 5.0, 100_000


def main() -> None:
    """Measure in turn, then report the medians."""
    under = conditions(PACKAGES)
    spec = read_catalog(DEFS).ingestion("nycflights").spec
    monthly = spec.model_copy(update={"partitions": _monthly(spec)})
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        csv = _csv(Path(folder))
        for number in range(1 + ROUNDS):
            figures = measure(spec, monthly, csv, Path(folder) / str(number))
            rounds += [figures] if number else []
            print(f"round {number} of {ROUNDS}: {figures}", file=sys.stderr)
    figures = {name: median(one[name] for one in rounds) for name in rounds[0]}
    figures |= {
        "weekly_over_ctas": median(one["ingest_53_weeks_cpu_s"] / one["ctas_cpu_s"] for one in rounds),
        "monthly_over_ctas": median(one["ingest_12_months_cpu_s"] / one["ctas_cpu_s"] for one in rounds),
        "weekly_rows_per_cpu_s": figures["rows"] / figures["ingest_53_weeks_cpu_s"],
    }
    goals = [at_most("weekly_over_ctas", figures["weekly_over_ctas"], RATIO), _at_least(figures)]
    finish("ingest", figures=figures, goals=goals, under=under)


def measure(spec: IngestionSpec, monthly: IngestionSpec, csv: Path, folder: Path) -> dict[str, float]:
    """Return the CPU seconds of one round."""
    figures: dict[str, float] = {"rows": _rows(csv)}
    figures["ctas_cpu_s"] = timed(lambda: _ctas(csv, folder))
    for name, one in (("53_weeks", spec), ("12_months", monthly)):
        figures[f"ingest_{name}_cpu_s"] = timed(lambda one=one, name=name: _ingest(one, folder / name))
    figures["same_53_weeks_again_cpu_s"] = timed(lambda: _ingest(spec, folder / "53_weeks"))
    return figures


def timed(work: Callable[[], None]) -> float:
    """Return the CPU seconds of some work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def _ingest(spec: IngestionSpec, folder: Path) -> None:
    from dlt_pipelines import nycflights
    from mlops_assets.ingestion.ingest import ingest

    assert spec.partitions is not None
    nycflights._table.cache_clear()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  or only the first round reads the CSV
    windows = spec.partitions.windows(NOW)
    lake = str(folder / "lake")
    published = ingest(spec, ["flights"], windows=windows, lake=lake, folder=folder / "work", now=NOW)
    assert len(published) == len(windows)


def _ctas(csv: Path, folder: Path) -> None:
    import duckdb

    folder.mkdir()
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute(f"create table flights as select * from read_csv('{csv}', nullstr = 'NA')")
        con.execute(f"copy flights to '{folder / 'flights.parquet'}'")


def _csv(folder: Path) -> Path:
    from dlt_pipelines import nycflights

    file = folder / "flights.csv"
    file.write_bytes(nycflights._bytes("flights.csv.zip"))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  as the source reads it
    return file


def _rows(csv: Path) -> int:
    with csv.open("rb") as file:
        return sum(1 for _ in file) - 1


def _monthly(spec: IngestionSpec) -> object:
    assert spec.partitions is not None
    months = {"every": "month", "start": "2013-01-01", "end": "2014-01-01"}
    return type(spec.partitions).model_validate({**spec.partitions.model_dump(), **months})


def _at_least(figures: dict[str, float]) -> Goal:
    value = figures["weekly_rows_per_cpu_s"]
    return Goal("weekly_rows_per_cpu_s_at_least", round(value), ROWS_PER_SECOND, value >= ROWS_PER_SECOND)


if __name__ == "__main__":
    main()
