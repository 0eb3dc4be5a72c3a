"""What `training` says that does not fit the model: found by `mlops check` with its place, and again by a training."""

import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.training.misfits import TrainingMisfit
from mlops_assets.training.spec import TrainingSpec
from tests.training.learning import fitted_on, rows

SHOP = Path(__file__).parents[1] / "shop" / "defs"
TRAINING = "  training: {params: {n_estimators: 40, max_depth: 3}}\n"


@pytest.fixture(scope="module")
def table():
    return rows()


@pytest.fixture
def check(tmp_path):
    """Return a function that writes the lines below `training` of the model and returns what `mlops check` says."""
    files = Path(shutil.copytree(SHOP, tmp_path / "defs"))
    model = files / "returns" / "defs.yaml"
    text = model.read_text()
    assert text.count(TRAINING) == 1

    def run(*lines, task="binary"):
        body = "  training:\n" + "".join(f"    {line}\n" for line in lines)
        model.write_text(text.replace(TRAINING, body).replace("task: binary", f"task: {task}"))
        written = model.read_text().splitlines()
        result = CliRunner().invoke(app, ["check", "--defs", str(files)], env={"COLUMNS": "400"})
        return result.exit_code, " ".join(result.output.split()), lambda key: f"{model}:{_line(written, key)}"

    return run


def _line(written, key):
    [line] = [number for number, text in enumerate(written, 1) if text.strip().startswith(key)]
    return line


@pytest.mark.parametrize(
    ("lines", "task", "at", "said"),
    [
        (
            ["preprocessing:", "  amuont: {impute: mean}"],
            "binary",
            "amuont",
            "found no feature 'amuont' required one of",
        ),
        (["monotone:", "  amuont: increasing"], "binary", "amuont", "found no feature 'amuont'"),
        (["sample_weight: amount"], "binary", "sample_weight", "found 'amount', which is a feature"),
        (["calibration: auto"], "regression", "calibration", "found 'auto' of a regression"),
        (["class_weights: balanced"], "regression", "class_weights", "found class weights of a regression"),
        (
            ["class_weights:", "  late: 2"],
            "binary",
            "late",
            "found label 'late' required the labels of a binary model",
        ),
        (["monotone:", "  amount: increasing"], "multiclass", "monotone", "in a multiclass model"),
        (
            ["preprocessing:", "  amount: {impute: mean, encode: target}"],
            "binary",
            "amount",
            "found impute beside encode",
        ),
    ],
)
def test_mlops_check_names_the_line(check, lines, task, at, said):
    code, output, place = check(*lines, task=task)
    assert code == 1
    assert place(at) in output
    assert said in output


def test_what_fits_is_no_finding(check):
    code, output, _ = check(
        "preprocessing: {amount: {impute: mean}, channel: {encode: target}}",
        "monotone: {amount: increasing}",
        "class_weights: {0: 1, 1: 5}",
        "sample_weight: price",
        "calibration: auto",
    )
    assert (code, "training" in output) == (0, False), output


def test_labels_may_be_written_as_numbers():
    assert TrainingSpec(class_weights={0: 1, 1: 5}).class_weights == {"0": 1, "1": 5}  # pyright: ignore[reportArgumentType]
    for weight in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            TrainingSpec(class_weights={"1": weight})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"preprocessing": {"colour": {"impute": "mean"}}},
            r"preprocessing\.colour: found impute of a categorical feature",
        ),
        (
            {"preprocessing": {"size": {"encode": "target"}}},
            r"size: found encode of a numeric feature; required only impute",
        ),
        (
            {"preprocessing": {"weight": {"encode": "target"}}},
            r"found no feature 'weight'; required one of size, flow, colour",
        ),
        ({"sample_weight": "size"}, "found 'size', which is a feature"),
    ],
)
def test_a_training_asks_again_with_the_kinds_of_the_data(table, spec, message):
    with pytest.raises(TrainingMisfit, match=message):
        fitted_on(table, **spec)
