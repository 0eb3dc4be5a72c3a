"""`mlops check` on references to tables with history."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app

SHOP = Path(__file__).parents[1] / "shop" / "defs"
VERSIONS = (
    "select customer, recorded_at as event_timestamp, recorded_at as known_at, revision as mean_amount from orders"
)
FINE, FINDINGS = 0, 1


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHOP, tmp_path / "defs"))


def check(files: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", "--defs", str(files)], env={"COLUMNS": "400"})
    return result.exit_code, result.output


def change(file: Path, before: str, after: str) -> int:
    text = file.read_text()
    assert text.count(before) == 1
    file.write_text(text.replace(before, after))
    return text[: text.index(before)].count("\n") + 1


def keep_history(files: Path) -> None:
    change(files / "shop" / "defs.yaml", "key: [order_id]", "key: [order_id]\n      publish: history")


def query_versions(files: Path) -> None:
    """Let the view ask for the columns that only a table with history has."""
    file = files / "customer" / "defs.yaml"
    text = file.read_text()
    start, end = text.index("  sql: |"), text.index("  ttl_days")
    file.write_text(f"{text[:start]}  sql: {VERSIONS}\n{text[end:]}")


def test_the_newest_versions_of_a_table_without_history_are_refused_with_their_place(files: Path) -> None:
    file = files / "customer" / "defs.yaml"
    line = change(file, "orders: shop/orders", "orders: shop/orders@current")

    code, output = check(files)

    assert code == FINDINGS
    assert f"{file}:{line} sources.orders" in output
    assert "'shop/orders@current' of a table with `publish: replace`" in output
    assert "a table with `publish: history`, which alone" in output


def test_the_newest_versions_of_a_table_with_history_are_fine(files: Path) -> None:
    keep_history(files)
    change(files / "customer" / "defs.yaml", "orders: shop/orders", "orders: shop/orders@current")
    change(files / "returns" / "defs.yaml", "orders: shop/orders", "orders: shop/orders@current")

    assert check(files)[0] == FINE


def test_an_unknown_table_is_refused_whether_or_not_its_newest_versions_are_asked_for(files: Path) -> None:
    line = change(files / "returns" / "defs.yaml", "orders: shop/orders", "orders: shop/order@current")

    code, output = check(files)

    assert code == FINDINGS
    assert f"returns/defs.yaml:{line} spine.sources.orders" in output
    assert "'shop/order@current'" in output


def test_a_query_sees_the_columns_of_versions_only_where_it_reads_versions(files: Path) -> None:
    query_versions(files)
    assert "recorded_at" in check(files)[1]  # no history, no such column

    keep_history(files)
    assert check(files)[0] == FINE

    change(files / "customer" / "defs.yaml", "orders: shop/orders", "orders: shop/orders@current")
    code, output = check(files)
    assert code == FINDINGS
    assert 'Referenced column "recorded_at" not found' in output


def test_a_name_that_predictions_need_for_themselves_is_refused(files: Path) -> None:
    line = change(files / "returns" / "defs.yaml", "inputs: [amount, channel]", "inputs: [amount, predicted_class]")

    code, output = check(files)

    assert code == FINDINGS
    assert f"returns/defs.yaml:{line} request.inputs" in output
    assert "'predicted_class'" in output
