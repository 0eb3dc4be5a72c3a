"""`mlops check` on fallbacks: a name that no server looks up is named with its line."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app

SHOP = Path(__file__).parents[1] / "shop" / "defs"
FINE, FINDINGS = 0, 1


def check(folder: Path, name: str, *, online: bool) -> tuple[int, str]:
    files = Path(shutil.copytree(SHOP, folder / "defs"))
    model, view = files / "returns" / "defs.yaml", files / "customer" / "defs.yaml"
    model.write_text(f"{model.read_text()}  serving:\n    fallback: {{{name}: 20.0}}\n")
    if online:
        view.write_text(view.read_text() + "  online: true\n")
    result = CliRunner().invoke(app, ["check", "--defs", str(files)], env={"COLUMNS": "400"})
    return result.exit_code, result.output


def test_a_feature_that_is_looked_up_may_have_a_fallback(tmp_path: Path) -> None:
    assert check(tmp_path, "mean_amount", online=True)[0] == FINE


@pytest.mark.parametrize(
    ("name", "online", "required"),
    [("amount", True, "one of mean_amount"), ("mean_amount", False, "no view of the model is online")],
    ids=["request input", "view that is not online"],
)
def test_another_name_is_refused_with_its_place(tmp_path: Path, name: str, online: bool, required: str) -> None:
    code, output = check(tmp_path, name, online=online)

    assert code == FINDINGS
    line = len((SHOP / "returns" / "defs.yaml").read_text().splitlines()) + 2
    assert f"returns/defs.yaml:{line} serving.fallback.{name}" in output
    assert required in output
