"""What the server publishes about itself, and schemathesis on it: a real process, two models, every check on."""

import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.lake.state import LocalState
from mlops_assets.rollout.routing import Route
from mlops_assets.rollout.traffic import give_all_traffic
from mlops_assets.serving.body import ColumnType
from mlops_assets.serving.csv_body import read_csv
from mlops_assets.serving.keys import Scope, create_key
from mlops_assets.serving.record_schema import csv_schema
from tests.serving.conftest import SIGNATURE, save_model
from tests.serving.fleet import serving

NOW = datetime(2013, 4, 1, tzinfo=UTC)
# Takes whatever the schema allows.
TAKES_ALL = b"""
import numpy as np

def request_features(columns):
    return {"doubled": columns["half"] * 0, "shout": columns["word"]}
"""


def save(folder: Path, version: int) -> str:
    """Save a model that says which kinds its inputs have; of others the schema allows anything."""
    signature = replace(SIGNATURE, input_kinds={"half": "numeric", "word": "categorical"})
    return str(save_model(folder, intercept=version, request=TAKES_ALL, signature=signature))


def test_the_schema_of_csv_takes_columns_of_any_name_as_the_server_does() -> None:
    columns: dict[str, ColumnType] = {"weight (kg)": "numeric", "a.b": "categorical"}
    body = "weight (kg),a.b\n1.5,x\n"

    pattern = csv_schema(columns)["pattern"]

    assert re.search(pattern, body)
    assert not re.search(pattern, body.replace("a.b", "a+b"))
    assert read_csv(body.encode(), columns) == [{"weight (kg)": 1.5, "a.b": "x"}]


@pytest.mark.slow
@pytest.mark.parametrize(("scope", "paths"), [("invoke", "."), ("admin", "^/admin")])
def test_schemathesis_finds_nothing(tmp_path: Path, state: LocalState, scope: Scope, paths: str) -> None:
    for model, version in (("churn", 1), ("fraud", 2)):
        give_all_traffic(state, model, Route(version, "run", save(tmp_path / model, version)), now=NOW, reason="test")
    keys = tmp_path / "keys.json"
    key = f"Authorization: Bearer {create_key(keys, 'fuzz', scope, now=NOW)}"
    options = ["--checks", "all", "--phases", "examples,coverage,fuzzing", "--max-examples", "60", "--seed", "1"]
    with serving(tmp_path, "--keys-file", str(keys)) as fleet:
        fleet.wait_for_workers(1)
        command = [Path(sys.executable).with_name("schemathesis"), "run", f"{fleet.url}/openapi.json", "-H", key]
        command += ["--include-path-regex", paths, *options]
        run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert run.returncode == 0, run.stdout[-8000:]
    assert "Traceback" not in (tmp_path / "stderr.txt").read_text()
