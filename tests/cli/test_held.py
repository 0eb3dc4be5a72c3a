"""`mlops held` and `mlops release` on a lake with one held window."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.cli.held import NotHeld
from mlops_assets.lake.state import open_state
from mlops_assets.lake.windows import Window
from mlops_assets.retraining.held import held_windows, hold


@pytest.fixture
def state(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    state = open_state(str(tmp_path / "lake" / "dev"))
    week = Window("2024-01-07", datetime(2024, 1, 7, tzinfo=UTC), datetime(2024, 1, 14, tzinfo=UTC))
    hold(state, "churn", week, reason="amount: a change of unit?", event_id="e1")
    return state


def test_held_windows_are_listed_with_their_reason(state) -> None:
    output = CliRunner().invoke(app, ["held", "churn"]).output

    assert "2024-01-07" in output
    assert "a change of unit?" in output
    assert "no window is held" in CliRunner().invoke(app, ["held", "other"]).output


def test_a_released_window_counts_again(state) -> None:
    assert CliRunner().invoke(app, ["release", "churn", "2024-01-07"]).exit_code == 0

    assert held_windows(state, "churn") == ()


def test_releasing_what_nobody_holds_names_what_is_held(state) -> None:
    result = CliRunner().invoke(app, ["release", "churn", "2024-02-04"])

    assert result.exit_code == 1
    assert isinstance(result.exception, NotHeld)
    assert "found held windows 2024-01-07" in str(result.exception)
    assert len(held_windows(state, "churn")) == 1
