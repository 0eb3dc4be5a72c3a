"""The point-in-time join: 336,776 real flights beside DuckDB's own as-of join, pandas and Feast; 10 million rows by themselves.

The three views hold corrections that arrive three days late. The as-of join and pandas join by arrival only, so they do less.
Each size of the large run is a process of its own, from tables in the lake to a saved training set.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.flight_views import corrected_views, feast_store, flight_spine
from benchmarks.report import at_most, conditions, finish

ROUNDS, FEAST_ROWS, SMALL, LARGE = 5, 20_000, 1_000_000, 10_000_000


def main() -> None:
    """Measure, then report."""
    under = conditions(["duckdb", "pyarrow", "pandas", "feast"])
    figures = beside_others() | beside_feast()
    for rows in (SMALL, LARGE):
        figures |= {f"{name}_{rows // 1_000_000}m": value for name, value in large(rows).items()}
    figures["join_per_row_10m_over_1m"] = figures["join_cpu_s_10m"] / figures["join_cpu_s_1m"] / (LARGE / SMALL)
    figures["set_per_row_10m_over_1m"] = figures["set_cpu_s_10m"] / figures["set_cpu_s_1m"] / (LARGE / SMALL)
    goals = [
        at_most("join_over_as_of", figures["join_over_as_of"], 1.3),
        at_most("join_over_feast_per_row", figures["join_over_feast_per_row"], 0.01),
        at_most("peak_gib_10m", figures["peak_gib_10m"], 6.0),
        at_most("join_per_row_10m_over_1m", figures["join_per_row_10m_over_1m"], 1.3),
        at_most("set_per_row_10m_over_1m", figures["set_per_row_10m_over_1m"], 1.3),
    ]
    finish("point_in_time", figures=figures, goals=goals, under=under)


def beside_others() -> dict[str, float]:
    """Return CPU seconds of one join of all flights with three views, each way in turn."""
    from mlops_assets.features.join import JoinedView, point_in_time_join
    from mlops_assets.lake.engine import attach_arrow, connect

    spine, views = flight_spine(), corrected_views()
    with connect() as con:
        con.register("spine", spine)
        for spec, table in views:
            attach_arrow(con, spec.name, table)
        joined = [JoinedView(spec, spec.name, tuple(spec.features)) for spec, _ in views]
        query = as_of_query([spec for spec, _ in views])
        frames = spine.to_pandas(), [(spec, table.to_pandas()) for spec, table in views]
        ways: dict[str, Callable[[], object]] = {
            "as_of": lambda: con.sql(query).to_arrow_table(),
            "join": lambda: point_in_time_join(con, spine, joined),
            "join_portable": lambda: point_in_time_join(con, spine, joined, engine="portable_sql"),
            "pandas": lambda: merge_as_of(*frames),
        }
        times = {f"{name}_cpu_s": [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                times[f"{name}_cpu_s"].append(cpu_seconds(way))
    figures = {name: median(values) for name, values in times.items()} | {"rows": float(spine.num_rows)}
    for other in ("as_of", "pandas"):
        figures[f"join_over_{other}"] = figures["join_cpu_s"] / figures[f"{other}_cpu_s"]
    figures["portable_over_join"] = figures["join_portable_cpu_s"] / figures["join_cpu_s"]
    figures["join_us_per_row"] = figures["join_cpu_s"] / spine.num_rows * 1e6
    return figures


def as_of_query(specs) -> str:
    """Return what a person would write: one statement, by arrival, with the ttl."""
    taken = ", ".join(
        f"case when {s.name}.event_timestamp >= s.prediction_time - interval {s.ttl_days * 24:g} hour then {s.name}.{f} end as {f}"
        for s in specs
        for f in s.features
    )
    joins = " ".join(
        f"asof left join {s.name} on s.{s.entity[0]} = {s.name}.{s.entity[0]} and s.prediction_time >= {s.name}.known_at"
        for s in specs
    )
    return f"select s.*, {taken} from spine s {joins}"


def merge_as_of(spine, views):
    """Join with pandas, by arrival, with the ttl; both sides are sorted by time, as it demands."""
    import pandas as pd

    result = spine.sort_values("prediction_time")
    for spec, table in views:
        by, right = spec.entity[0], table.sort_values("known_at").rename(columns={"event_timestamp": "event"})
        result = pd.merge_asof(result, right, left_on="prediction_time", right_on="known_at", by=by)
        stale = ~(result["event"] >= result["prediction_time"] - pd.Timedelta(days=spec.ttl_days))
        result.loc[stale, list(spec.features)] = None
        result = result.drop(columns=["event", "known_at"])
    return result.sort_index()


def beside_feast() -> dict[str, float]:
    """Return CPU per row of Feast's DuckDB store and of our join, on the same rows."""
    from mlops_assets.features.join import JoinedView, point_in_time_join
    from mlops_assets.lake.engine import attach_arrow, connect

    spine, views = flight_spine(), corrected_views()
    some = spine.take(np.linspace(0, spine.num_rows - 1, FEAST_ROWS, dtype=int))
    with tempfile.TemporaryDirectory() as folder, connect() as con:
        feast, features = feast_store(Path(folder), views), [f"{s.name}:{f}" for s, _ in views for f in s.features]
        asked = some.to_pandas().rename(columns={"prediction_time": "event_timestamp"})
        retrieve = lambda rows: feast.get_historical_features(entity_df=rows, features=features).to_df()  # noqa: E731
        retrieve(asked[:10])  # imports
        feast_cpu = cpu_seconds(lambda: retrieve(asked))
        for spec, table in views:
            attach_arrow(con, spec.name, table)
        joined = [JoinedView(spec, spec.name, tuple(spec.features)) for spec, _ in views]
        all_rows = median(cpu_seconds(lambda: point_in_time_join(con, spine, joined)) for _ in range(ROUNDS))
        same_rows = median(cpu_seconds(lambda: point_in_time_join(con, some, joined)) for _ in range(ROUNDS))
    per_row = feast_cpu / some.num_rows
    return {
        "feast_rows": float(some.num_rows),
        "feast_us_per_row": per_row * 1e6,
        "join_over_feast_per_row": all_rows / spine.num_rows / per_row,
        "join_over_feast_same_rows": same_rows / feast_cpu,
    }


def large(rows: int) -> dict[str, float]:
    """Return CPU and peak memory of a training set of `rows` rows and five views, built in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.large_set"]
        subprocess.run([*command, "write", folder, str(rows)], check=True, timeout=1800)
        done = subprocess.run([*command, "build", folder], check=True, timeout=1800, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
