"""`mlops check` on the unit of a rollout: a column that no request carries is named with its line."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app

SHOP = Path(__file__).parents[1] / "shop" / "defs"
FINE, FINDINGS = 0, 1


def check(folder: Path, columns: str) -> tuple[int, str]:
    files = Path(shutil.copytree(SHOP, folder / "defs"))
    model = files / "returns" / "defs.yaml"
    model.write_text(f"{model.read_text()}  rollout:\n    steps: [shadow, 100]\n    assign_by: {columns}\n")
    result = CliRunner().invoke(app, ["check", "--defs", str(files)], env={"COLUMNS": "400"})
    return result.exit_code, result.output


@pytest.mark.parametrize(
    "column", ["channel", "customer", "order_id"], ids=["request input", "entity", "key of the spine"]
)
def test_a_column_that_a_request_carries_names_the_unit(tmp_path: Path, column: str) -> None:
    assert check(tmp_path, f"[{column}]")[0] == FINE


@pytest.mark.parametrize("column", ["returned", "mean_amount"], ids=["raw column", "looked-up feature"])
def test_another_column_is_refused_with_its_place(tmp_path: Path, column: str) -> None:
    code, output = check(tmp_path, f"[customer, {column}]")

    assert code == FINDINGS
    line = len((SHOP / "returns" / "defs.yaml").read_text().splitlines()) + 3
    assert f"returns/defs.yaml:{line} rollout.assign_by.1" in output
    assert f"'{column}'" in output
    assert "a column that a request carries: one of amount, channel, customer, order_id" in output


@pytest.mark.parametrize(("log", "code"), [("{}", FINDINGS), ('{schedule: "*/15 * * * *"}', FINE)])
def test_a_label_metric_needs_the_compacted_log(tmp_path: Path, log: str, code: int) -> None:
    more = f"[customer]\n    metrics: {{label: {{margin: 0.01}}}}\n  prediction_log: {log}"

    found, output = check(tmp_path, more)

    assert found == code
    assert ("no `prediction_log.schedule`" in output) == (code == FINDINGS)
