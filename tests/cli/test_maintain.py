"""`mlops maintain` on the lake of this deployment."""

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.lake.tables import overwrite, read, snapshot
from mlops_assets.settings import load_settings


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    uri = f"{load_settings().lake}/raw/shop/orders"
    for number in range(3):
        overwrite(uri, pa.table({"id": [number]}))
    return uri


def maintain(*arguments):
    return CliRunner().invoke(app, ["maintain", *arguments])


def test_it_lists_by_table_what_it_removed_and_the_newest_rows_stay(table):
    said = maintain("--retention-days", "0")
    assert said.exit_code == 0
    assert "what was done" in said.output
    assert "raw/shop/orders" in said.output
    assert [line.split("│")[3].strip() for line in said.output.splitlines() if "raw/shop" in line] == ["2"]
    assert read(table)["id"].to_pylist() == [2]


def test_a_dry_run_only_lists(table):
    version = snapshot(table).version
    said = maintain("--dry-run", "--retention-days", "0")
    assert "what would be done" in said.output
    assert snapshot(table).version == version
    assert read(table, version=1)["id"].to_pylist() == [0]


def test_an_empty_lake_is_said_to_be_empty(tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    assert maintain().output.split()[-2:] == ["no", "table."]


def test_a_table_that_was_left_alone_is_a_finding(table):
    from deltalake import write_deltalake

    write_deltalake(f"{load_settings().lake}/foreign", pa.table({"id": [1], "day": ["a"]}), partition_by=["day"])
    said = maintain()
    assert said.exit_code == 1
    assert "partition column day" in said.output
