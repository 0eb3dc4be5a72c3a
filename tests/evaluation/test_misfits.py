"""What `mlops check` says of a gate that does not fit its model."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.evaluation.misfits import gate_misfits
from mlops_assets.evaluation.spec import GateSpec
from mlops_assets.predictor.signature import Task

SHOP = Path(__file__).parents[1] / "shop" / "defs"
PARITY = {"by": "sex", "demographic_parity_difference": 0.1}


@pytest.mark.parametrize(
    ("task", "gate", "place", "required"),
    [
        ("binary", {"metric": "rmse"}, ("metric",), "a metric of a binary model: roc_auc"),
        ("regression", {"floors": {"log_loss": 0.5}}, ("floors", "log_loss"), "a metric of a regression model: rmse"),
        ("multiclass", {"non_inferior": {"mae": 1}}, ("non_inferior", "mae"), "a metric of a multiclass model"),
        ("binary", {"floor": 0.6, "floors": {"roc_auc": 0.7}}, ("floors", "roc_auc"), "one floor of a metric"),
        ("regression", {"fairness": [PARITY]}, ("fairness",), "a binary task: fairness compares"),
        ("multiclass", {"fairness": [PARITY]}, ("fairness",), "a binary task: fairness compares"),
        ("multiclass", {"decision_threshold": 0.5}, ("decision_threshold",), "a binary task"),
        ("regression", {"calibration_error": 0.1}, ("calibration_error",), "a task with probabilities"),
        ("binary", {"baseline_by": ["store"]}, ("baseline_by",), "a baseline that looks at other rows"),
        ("binary", {"slices": [{"by": "label", "max_gap": 1}]}, ("slices", 0, "by"), "known before the outcome"),
        ("binary", {"fairness": [PARITY, PARITY]}, ("fairness", 1, "by"), "each column once"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(task: Task, gate: Any, place: Any, required: str) -> None:
    (misfit,) = gate_misfits(GateSpec(**gate), task)
    assert misfit.place == place
    assert required in misfit.required


def test_a_full_gate_fits() -> None:
    gate: dict[str, Any] = {
        "metric": "log_loss",
        "floor": 0.6,
        "floors": {"roc_auc": 0.7},
        "baseline": "seasonal_naive",
        "baseline_by": ["store"],
        "non_inferior": {"brier": 0.01},
        "slices": [{"by": "store", "max_gap": 0.1}],
        "fairness": [PARITY],
        "decision_threshold": 0.4,
        "calibration_error": 0.05,
    }
    assert list(gate_misfits(GateSpec(**gate), "binary")) == []


@pytest.mark.parametrize("gate", [{"fairness": [{"by": "sex"}]}, {"non_inferior": {"mae": 0}}])
def test_a_criterion_without_a_limit_is_none(gate: Any) -> None:
    with pytest.raises(ValidationError, match=r"found no limit; required|greater than 0"):
        GateSpec(**gate)


def test_check_points_at_the_line(tmp_path: Path) -> None:
    files = Path(shutil.copytree(SHOP, tmp_path / "defs"))
    file = files / "returns" / "defs.yaml"
    text = file.read_text()
    file.write_text(text.replace("  gate: {floor: 0.6, replicates: 200}", "  gate:\n    floors:\n      rmse: 3"))
    line = file.read_text()[: file.read_text().index("      rmse: 3")].count("\n") + 1

    result = CliRunner().invoke(app, ["check", "--defs", str(files)], env={"COLUMNS": "400"})

    assert result.exit_code == 1
    assert f"{file}:{line} gate.floors.rmse" in result.output
    assert "required a metric of a binary model: roc_auc" in " ".join(result.output.split())
