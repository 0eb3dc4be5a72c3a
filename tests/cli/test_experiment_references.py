"""`mlops check` on the `experiment` part of a file: what does not fit is named with its line."""

import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.components.scaffolding import write_definition
from mlops_assets.experiment.spec import ExperimentSpec

SHOP = Path(__file__).parents[1] / "shop" / "defs"
FINE, FINDINGS = 0, 1
EXPERIMENT = """
  experiment:
    unit: [customer]
    primary:
      source: feedback
      kind: proportion
      baseline: 0.2
      minimum_effect: 0.05
    guardrails:
      - {name: error_share, margin: 0.01}
      - name: outcome
        margin: 0.02
        outcome:
          source: error
          kind: mean
"""


def check(folder: Path, edits: dict[str, str]) -> tuple[int, str, str]:
    """Check the shop with an experiment, edited; return code, output, and the file as it then is."""
    files = Path(shutil.copytree(SHOP, folder / "defs"))
    file = files / "returns" / "defs.yaml"
    text = file.read_text().rstrip("\n") + EXPERIMENT
    for before, after in edits.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    file.write_text(text)
    result = CliRunner().invoke(app, ["check", "--defs", str(files)], env={"COLUMNS": "500"})
    return result.exit_code, result.output, text


@pytest.mark.parametrize("unit", ["[channel]", "[customer, channel]", "[order_id]", "[]"])
def test_a_unit_is_what_a_request_carries(tmp_path: Path, unit: str) -> None:
    assert check(tmp_path, {"unit: [customer]": f"unit: {unit}"})[0] == FINE


@pytest.mark.parametrize(
    ("log", "experiment", "needed"),
    [
        ("retention_days: 40", "maximum_days: 40", None),
        ("retention_days: 40", "maximum_days: 41", 41),
        ("retention_days: 40", "maximum_days: 20, cuped: true", 48),
        ("schedule: '0 6 * * *'", "cuped: true", None),
    ],
)
def test_the_log_is_kept_for_as_long_as_the_experiment_reads_it(
    tmp_path: Path, log: str, experiment: str, needed: int | None
) -> None:
    asked = experiment.replace(", ", "\n    ")
    code, output, _ = check(
        tmp_path, {"unit: [customer]": asked, "  experiment:": f"  prediction_log: {{{log}}}\n  experiment:"}
    )

    assert code == (FINE if needed is None else FINDINGS)
    assert needed is None or f"a log that is kept for {needed} days" in " ".join(output.split())


@pytest.mark.parametrize(
    ("edits", "line_of", "place", "found"),
    [
        ({"unit: [customer]": "unit: [customer, returned]"}, "unit:", "experiment.unit.1", "'returned'"),
        (
            {"task: binary": "task: multiclass", "{floor: 0.6, replicates: 200}": "{}", "feedback": "label"},
            "source: label",
            "experiment.primary.source",
            "the label of a multiclass model, a class",
        ),
        (
            {"task: binary": "task: regression", "{floor: 0.6, replicates: 200}": "{}", "feedback": "score"},
            "      kind: proportion",
            "experiment.primary.kind",
            "the score of a regression as a proportion",
        ),
        (
            {"task: binary": "task: regression", "{floor: 0.6, replicates: 200}": "{}", "          kind: mean": ""},
            "        outcome:",
            "experiment.guardrails.1.outcome",
            "the error of a regression as a proportion",
        ),
        ({"kind: proportion": "kind: mean"}, "primary:", "experiment.primary", "found a mean without `deviation`"),
        ({"baseline: 0.2": "baseline: 20"}, "primary:", "experiment.primary", "found baseline 20; required a share"),
        (
            {"{name: error_share, margin: 0.01}": "{name: outcome, margin: 0.01}"},
            "- {name: outcome",
            "experiment.guardrails.0",
            "required `outcome` beside the name `outcome`",
        ),
        (
            {"          kind: mean": "          larger_is_better: true"},
            "        outcome:",
            "experiment.guardrails.1.outcome",
            "found `larger_is_better: true` of errors",
        ),
        (
            {"unit: [customer]": "maximum_days: 3"},
            "experiment:",
            "experiment",
            "found minimum_days 7 and maximum_days 3",
        ),
    ],
    ids=["unit", "class", "number", "guardrail", "deviation", "baseline", "no outcome", "direction", "days"],
)
def test_what_does_not_fit_is_refused_with_its_place(
    tmp_path: Path, edits: dict[str, str], line_of: str, place: str, found: str
) -> None:
    code, output, text = check(tmp_path, edits)

    assert code == FINDINGS
    line = text[: text.index(line_of)].count("\n") + 1
    assert f"returns/defs.yaml:{line} {place}" in output
    assert found in output


def test_the_commented_experiment_of_a_new_file_is_one_that_can_be_written(tmp_path: Path) -> None:
    lines = write_definition("ModelLifecycle", tmp_path / "churn").read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("  # experiment:"))
    block = [
        line.removeprefix("  # ") for line in lines[start:] if line.startswith("  #   ") or "# experiment:" in line
    ]
    written = yaml.safe_load("\n".join(block[: next(i for i, one in enumerate(block) if "schedule" in one) + 1]))

    spec = ExperimentSpec.model_validate(written["experiment"])
    assert (spec.analysis, spec.schedule, len(spec.guardrails)) == ("fixed", "0 6 * * *", 2)
