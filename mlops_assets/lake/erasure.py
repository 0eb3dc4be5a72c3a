"""Rows out of a Delta table and out of its whole past: no version, no file and no statistics hold them afterwards.

Keep out: whose rows, and why; and everything that is no Delta table (`registry/forgetting`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mlops_assets.lake.commit import Write, commit
from mlops_assets.lake.delta import open_table, place
from mlops_assets.lake.engine import connect, describe_files, quoted
from mlops_assets.lake.files import list_files, read_bytes, remove, stat, write_bytes
from mlops_assets.lake.maintenance import LOG, SWEEP_HOURS
from mlops_assets.lake.tables import PARTITIONED, commit_properties, in_windows, predicate_of, read, with_windows
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

    import pyarrow as pa

    Who = Mapping[str, str | Collection[str]]

LAST_CHECKPOINT = "_last_checkpoint"


@dataclass(frozen=True)
class Held:
    """Where a table holds rows of somebody.

    Attributes:
        rows: In its newest version.
        files: Every Parquet file with such rows, of any version or of none.
    """

    rows: int
    files: tuple[str, ...]


def find_delta(root: str) -> list[str]:
    """Return the places of all Delta tables below a root, also of those that begin with an underscore."""
    marker = f"/{LOG}/"
    return sorted({uri.partition(marker)[0] for uri in list_files(root) if marker in uri and uri.endswith(".json")})


def matches(who: Who) -> str:
    """Return the DuckDB predicate of somebody's rows: values are compared as text; of several values any may be there.

    >>> print(matches({"customer": "o'neill"}))
    "customer"::varchar in ('o''neill')
    """
    values = {column: [value] if isinstance(value, str) else value for column, value in who.items()}
    return " and ".join(f"{quoted(column)}::varchar in ({_literals(some)})" for column, some in values.items())


def _literals(values: Collection[str]) -> str:
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)


def held_rows(uri: str, who: Who) -> Held | None:
    """Search a table and its past; None if it does not have all the columns.

    Raises:
        UnhandledFeature: The table uses a Delta feature that a list of files cannot express.
    """
    files = tuple(file for file in _data_files(uri) if rows_in(uri, file, who))
    whole, _ = with_windows(uri)
    if not files and not set(who) <= set(whole.schema.names):
        return None
    return Held(sum(rows_in(uri, file, who) for file in whole.files), files)


def erase_rows(uri: str, who: Who, *, keeps_facts: bool) -> None:
    """Take the rows out of the newest version, in one commit that a concurrent writer cannot lose.

    Args:
        keeps_facts: Whether the table still is what its facts say, rows of others being as they were.
    """

    def plan(version: int | None) -> Write | None:
        whole, windows = with_windows(uri, version)
        touched = {file for file in whole.files if rows_in(uri, file, who)}
        if not touched:
            return None
        facts = commit_properties(uri, whole.version) if keeps_facts else {}
        if not whole.partition_columns:
            return Write(_without(read(uri, version=version), who), properties=facts)
        keys = sorted(key for key, files in windows.items() if touched & set(files))
        rows = in_windows([(key, _without(read(uri, version=version, window=key), who)) for key in keys])
        return Write(rows, predicate=predicate_of(keys), partition_by=PARTITIONED, properties=facts)

    commit(uri, plan)


def erase_past(uri: str, *, now: datetime) -> int:
    """Remove every file that the newest version does not need, and every statistic of such files; return how many files.

    Old versions cannot be read afterwards, whoever refers to them. A file that no commit ever named may be part of a write
    that goes on at this moment: it stays for a day.
    """
    table, young = open_table(uri), now - timedelta(hours=SWEEP_HOURS)
    needed = {unquote(file) for file in table.file_uris()}
    named = {join(place(uri), unquote(path)) for path in _logged_paths(uri)}
    gone = [file for file in _data_files(uri) if file not in needed and (file in named or stat(file)[1] < young)]
    for file in gone:
        remove(file)
    _redact_log(uri, {file.removeprefix(join(place(uri), "")) for file in needed})
    return len(gone)


def _without(table: pa.Table, who: Who) -> pa.Table:
    with connect() as con:
        con.register("held", table)
        return con.sql(f"select * from held where ({matches(who)}) is not true").to_arrow_table()


def _data_files(uri: str) -> Iterator[str]:
    yield from (file for file in list_files(uri) if file.endswith(".parquet") and f"/{LOG}/" not in file)


def rows_in(uri: str, file: str, who: Who) -> int:
    """Count somebody's rows in one Parquet file below a place; 0 if it does not have all the columns."""
    literal = file.replace("'", "''")
    with connect() as con:
        if not set(who) <= set(describe_files(con, uri, [file]).names):
            return 0
        rows = f"read_parquet('{literal}', hive_partitioning = false)"
        ((count,),) = con.execute(f"select count(*) from {rows} where {matches(who)}").fetchall()
    return int(count)


def _actions(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines() if line.strip()]


def _logs(uri: str) -> list[str]:
    return [file for file in list_files(join(uri, LOG)) if file.endswith(".json")]


def _logged_paths(uri: str) -> Iterator[str]:
    for log in _logs(uri):
        yield from (action["add"]["path"] for action in _actions(read_bytes(log)) if "add" in action)


def _redact_log(uri: str, needed: set[str]) -> None:
    """Drop the least and greatest values of removed files from the log, and the checkpoints, which repeat them.

    Every commit since the first stays in the log (`lake.commit.CONFIGURATION`), so the table reads the same without them.
    """
    for log in _logs(uri):
        before = _actions(read_bytes(log))
        after = [_redacted(action, needed) for action in before]
        if after != before:
            write_bytes(log, "\n".join(map(json.dumps, after)).encode())
    first = join(uri, LOG, f"{0:020d}.json")
    if first not in _logs(uri):
        return
    for file in list_files(join(uri, LOG)):
        if file.endswith((".parquet", LAST_CHECKPOINT)):
            remove(file)


def _redacted(action: dict[str, Any], needed: set[str]) -> dict[str, Any]:
    for kind in ("add", "remove"):
        entry = action.get(kind)
        if entry and entry.get("stats") and unquote(entry["path"]) not in needed:
            rows = json.loads(entry["stats"]).get("numRecords")
            return {**action, kind: {**entry, "stats": json.dumps({"numRecords": rows})}}
    return action
