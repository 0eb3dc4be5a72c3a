"""Somebody is forgotten: afterwards no byte of the lake says that they were there, and everybody else is."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from features.world import SCHEMA, Shop, at, definition, many_orders, view

from mlops_assets.contract.pointers import Pointer, write_pointer
from mlops_assets.contract.verdict import write_verdict
from mlops_assets.features.refresh import refresh_view
from mlops_assets.features.training_set import save
from mlops_assets.features.vectors import open_views
from mlops_assets.lake.engine import connect
from mlops_assets.lake.files import write_bytes
from mlops_assets.lake.state import open_state
from mlops_assets.lake.tables import overwrite, read, replace_window
from mlops_assets.registry.forgetting.forget import NoSuchColumns, Request, forget
from mlops_assets.registry.forgetting.traces import find_traces
from mlops_assets.registry.lifecycle import VersionCard, add_card, known_card

NAME = "zz-person"
WHO = {"customer": NAME}
NOW = datetime.now(UTC)


class Tags:
    """What a registry was told."""

    def __init__(self):
        self.told = {}

    def set_tags(self, name, version, tags):
        self.told[name, version] = dict(tags)


@pytest.fixture
def shop(tmp_path):
    """A lake that holds them everywhere, also in versions that only history has."""
    people = [{**row, "customer": NAME if row["customer"] == "bob" else "ann"} for row in many_orders(60)]
    shop = Shop.of(tmp_path, people[:40])
    shop.refresh(view())
    save(shop.build(definition(view()), as_of=12), shop.lake, "returns")
    shop.publish(pa.Table.from_pylist(people, SCHEMA))
    shop.refresh(view())
    save(shop.build(definition(view()), as_of=18), shop.lake, "returns")
    bad = pa.table({"customer": [NAME, "ann"], "failed_rules": ["a", "b"]})
    replace_window(f"{shop.lake}/quarantine/shop/orders", bad, window="2024-03-01")
    replace_window(
        f"{shop.lake}/predictions/returns", pa.table({"customer": [NAME, "ann"], "score": [0.1, 0.2]}), window="w"
    )
    overwrite(f"{shop.lake}/raw/shop/plain", pa.table({"n": [1]}))
    sample = [{"customer": NAME, "amount": 1.0}, {"customer": "ann", "amount": 2.0}]
    finding = {"rule": "r", "severity": "warn", "passed": False, "sample": sample}
    write_verdict(shop.lake, "shop", "orders", "2024-03-01", {"blocked": False, "findings": [finding]})
    write_bytes(f"{shop.lake}/quality/shop/orders.html", f"<td>{NAME}</td>".encode())
    write_pointer(shop.lake, "own/people", 1, Pointer("/elsewhere", "delta", {"customer": "VARCHAR"}, delta_version=1))
    for number, folder in enumerate(sorted(Path(shop.lake, "training_sets", "returns").iterdir()), 1):
        lineage = {"mlops/training_set": json.loads((folder / "manifest.json").read_text())["sha256"]}
        add_card(
            open_state(shop.lake), VersionCard("returns", number, f"c{number}", "r", "/x", "s", at(0), lineage=lineage)
        )
    add_card(open_state(shop.lake), VersionCard("returns", 3, "c3", "r", "/x", "s", at(0), lineage={}))
    return shop


def run(shop, who=WHO, registry=None):
    def refresh(name):
        assert name == "returns"
        refresh_view(view().spec, view().sql, lake=shop.lake, full=True)

    request = Request(who, "tester@here", "a letter", NOW)
    return forget(request, lake=shop.lake, registry=registry or Tags(), refresh=refresh, known=["customer"])


def traces_of(folder):
    """Search every file, by brute force: cells of Parquet files, bytes of all."""
    found = []
    for file in Path(folder).rglob("*"):
        if file.is_file():
            cells = pq.read_table(file, partitioning=None).to_pylist() if file.suffix == ".parquet" else ""
            if NAME in repr(cells) or NAME.encode() in file.read_bytes():
                found.append(str(file.relative_to(folder)))
    return sorted(found)


def test_nothing_is_left_anywhere_and_everybody_else_is_there(shop):
    assert len({file.split("/")[0] for file in traces_of(shop.lake)}) == 7
    others = [row for row in read(f"{shop.lake}/raw/shop/orders").to_pylist() if row["customer"] == "ann"]
    tags = Tags()

    done = run(shop, registry=tags)

    assert traces_of(shop.lake) == []
    assert read(f"{shop.lake}/raw/shop/orders").to_pylist() == others
    assert set(read(f"{shop.lake}/features/returns")["customer"].to_pylist()) == {"ann"}
    assert read(f"{shop.lake}/predictions/returns")["customer"].to_pylist() == ["ann"]
    assert [(one.kind, one.place) for one in done.left] == [("not ours", "raw/own/people")]
    assert sorted(done.versions) == ["returns@1", "returns@2"] == [f"{name}@{n}" for name, n in sorted(tags.told)]
    state = open_state(shop.lake)
    assert ["not_rebuildable" in known_card(state, "returns", n).marks for n in (1, 2, 3)] == [True, True, False]
    assert "a letter" in known_card(state, "returns", 1).marks["not_rebuildable"]
    with connect() as con:
        open_views(con, shop.lake, definition(view()))  # not stale


def test_the_record_says_who_asked_when_and_how_much_but_not_whom(shop):
    run(shop)
    (key,) = open_state(shop.lake).keys("forgotten/")
    value, _ = open_state(shop.lake).read(key)
    assert value["columns"] == ["customer"]
    (entry,) = value["requests"]
    assert (entry["who"], entry["reason"], entry["is_done"]) == ("tester@here", "a letter", True)
    rows = {one["place"]: one["rows"] for one in entry["found"]}
    assert rows["quarantine/shop/orders"] == rows["predictions/returns"] == 1
    assert NAME not in json.dumps(value) + key


def test_a_search_changes_nothing_and_names_every_place(shop):
    before = traces_of(shop.lake)
    kinds = {one.kind: one.place for one in find_traces(shop.lake, WHO) if one.is_theirs or one.note}
    assert set(kinds) == {"table", "training set", "examples", "not ours"}
    assert traces_of(shop.lake) == before


def test_somebody_unknown_changes_nothing(shop):
    before = traces_of(shop.lake)
    assert not any(one.is_theirs for one in run(shop, {"customer": "nobody"}).found)
    assert traces_of(shop.lake) == before


def test_a_column_that_no_table_has_is_refused(shop):
    with pytest.raises(NoSuchColumns, match=r"Forgetting by costumer: .*entities and keys in the files: customer"):
        run(shop, {"costumer": NAME})


KILLED = """
import os, sys
from mlops_assets.registry.forgetting import forget as module
from mlops_assets.lake import erasure, files
count, limit = 0, int(sys.argv[2])
def dying(function):
    def wrapped(*arguments, **named):
        global count
        count += 1
        if count == limit:
            os.kill(os.getpid(), 9)
        return function(*arguments, **named)
    return wrapped
for name in ("remove", "write_bytes", "erase_rows", "erase_past", "mark"):
    setattr(module, name, dying(getattr(module, name)))
from registry.forgetting.test_forget import Shop, run
run(Shop(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 5, 9])
def test_killed_at_any_step_the_next_run_finishes(shop, step):
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", KILLED, shop.lake, str(step)]
    env = {"PYTHONPATH": f"{root}:{root / 'tests'}", "PATH": ""}
    assert subprocess.run(command, env=env, check=False).returncode == -9
    assert traces_of(shop.lake)

    run(shop)

    assert traces_of(shop.lake) == []
    assert ["not_rebuildable" in known_card(open_state(shop.lake), "returns", n).marks for n in (1, 2)] == [True, True]
    assert not list(Path(shop.lake).rglob("data.parquet"))
