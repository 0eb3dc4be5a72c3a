"""`mlops forget` on the lake of this deployment."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shop.deployment import SHOP_DEFS
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.lake.staged import StagedWindow
from mlops_assets.lake.state import open_state
from mlops_assets.lake.tables import overwrite, read
from mlops_assets.registry.forgetting.forget import NoSuchColumns
from mlops_assets.settings import load_settings


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    uri = f"{load_settings().lake}/quarantine/shop/orders"
    for _ in range(2):
        overwrite(uri, pa.table({"customer": ["c17", "c1"], "n": [1, 2]}))
    return uri


def forget(*arguments):
    return CliRunner().invoke(app, ["forget", *arguments, "--defs", str(SHOP_DEFS)], catch_exceptions=False)


def test_a_dry_run_lists_and_changes_nothing(table):
    said = forget("customer=c17", "--dry-run")
    assert said.exit_code == 0
    assert "what would be taken out" in said.output
    (line,) = [one for one in said.output.splitlines() if "quarantine/shop" in one]
    assert [cell.strip() for cell in line.split("│")][1:5] == ["quarantine/shop/orders", "table", "1", "2"]
    assert read(table)["customer"].to_pylist() == ["c17", "c1"]


def test_it_is_taken_out_recorded_and_the_source_is_spoken_of(table):
    said = forget("customer=c17", "--reason", "a letter")
    assert said.exit_code == 0
    assert "Nothing is left in the lake: the files that held them are removed now" in said.output
    assert "What the source still has comes back with the next load" in said.output
    assert read(table)["customer"].to_pylist() == ["c1"]
    assert len(open_state(load_settings().lake).keys("forgotten/")) == 1


def test_a_file_that_may_belong_to_a_running_write_stays_and_it_says_until_when(table):
    staged = StagedWindow(table, "w", pa.schema({"customer": pa.string(), "n": pa.int64()}))
    staged.write(pa.table({"customer": ["c17"], "n": [1]}))
    staged._close()

    said = forget("customer=c17")

    assert said.exit_code == 1
    assert "Run this again after 24 hours" in said.output
    (file,) = [path for path in Path(table).rglob("*.parquet") if "c17" in pq.read_table(path)["customer"].to_pylist()]
    os.utime(file, (0, 0))
    assert forget("customer=c17").exit_code == 0
    assert not file.exists()


@pytest.mark.parametrize(("entity", "code"), [("customer", 2), ("customer=", 0)])
def test_what_is_no_pair_is_misuse(table, entity, code):
    assert forget(entity, "--dry-run").exit_code == code


def test_a_column_of_no_table_names_those_that_are_known(table):
    with pytest.raises(NoSuchColumns, match=r"entities and keys in the files: customer\)"):
        forget("costumer=c17")
