import json

from benchmarks import report
from benchmarks.load import write_models
from mlops_assets.components.catalog import read_catalog


def test_the_last_line_of_a_benchmark_is_its_result(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    goals = [report.at_most("ratio", 2.0, 2.0), report.at_most("seconds", 301.0, 300.0)]
    report.finish("trial", figures={"ratio": 2.0}, goals=goals, under=report.conditions(["dagster"]))

    result = json.loads(capsys.readouterr().out.splitlines()[-1])

    assert set(result) == {"benchmark", "figures", "goals", "conditions"}
    assert result["goals"] == [
        {"name": "ratio", "value": 2.0, "goal": 2.0, "met": True},
        {"name": "seconds", "value": 301.0, "goal": 300.0, "met": False},
    ]
    assert {"cpus", "load", "versions", "date", "python"} <= set(result["conditions"])
    assert json.loads((tmp_path / "trial.json").read_text()) == result


def test_the_load_benchmark_writes_as_many_models_as_it_says(tmp_path):
    catalog = read_catalog(write_models(tmp_path, 4))

    assert len(catalog.models) == 4
    assert list(catalog.findings) == []
