"""`mlops requarantine` on a lake with two rows in quarantine."""

from pathlib import Path

import pytest
import yaml
from ingestion.ledger import FILE, Ledger, ledger_spec, row
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.cli.requarantine import UnknownTable

STRICT = {"rules": [{"name": "positive", "sql": "balance >= 0"}]}
LOOSE = {"rules": [{"name": "positive", "sql": "balance >= -10"}]}


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch) -> Ledger:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    monkeypatch.setenv(FILE, "")
    one = Ledger(tmp_path, ledger_spec("whole", "append", **STRICT))
    one.use_lake(str(tmp_path / "lake" / "dev"))
    one.load(row(1, 1), row(2, 2, -1.0), row(3, 3, -99.0))
    return one


def write_defs(folder: Path, rules: dict) -> list[str]:
    spec = ledger_spec("whole", "append", **rules).model_dump(mode="json", exclude_defaults=True)
    (folder / "defs" / "ledger").mkdir(parents=True)
    text = yaml.safe_dump({"type": "mlops_assets.components.Ingestion", "attributes": spec})
    (folder / "defs" / "ledger" / "defs.yaml").write_text(text)
    return ["--defs", str(folder / "defs")]


def test_rows_that_keep_the_rule_of_today_are_released_and_the_others_named(ledger, tmp_path) -> None:
    defs = write_defs(tmp_path, LOOSE)
    result = CliRunner().invoke(app, ["requarantine", "ledger", "accounts", *defs])

    assert result.exit_code == 0, result.exception
    assert "positive 1" in result.output
    assert ledger.published == [row(1, 1), row(2, 2, -1.0)]
    assert ledger.aside == [row(3, 3, -99.0)]


def test_an_unknown_table_is_named(ledger, tmp_path) -> None:
    result = CliRunner().invoke(app, ["requarantine", "ledger", "nope", *write_defs(tmp_path, LOOSE)])

    assert result.exit_code == 1
    assert isinstance(result.exception, UnknownTable)
    assert "found the tables accounts" in str(result.exception)
