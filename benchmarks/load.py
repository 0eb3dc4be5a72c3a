"""What loading the definitions costs, against `import dagster` alone: CPU seconds of fresh processes, medians, measured in turn."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks.report import at_most, conditions, finish
from mlops_assets.definitions import DEFS

MODEL = "flight_delay"
MODELS = (1, 25, 100)
LIMITS = {
    "definitions_1_ratio": 2.0,
    "repository_1_ratio": 2.0,
    "definitions_100_ratio": 6.0,
    "repository_100_ratio": 6.0,
}
ROUNDS = 3
IMPORT_DAGSTER = "import dagster, json, time; print(json.dumps([time.process_time()]))"
LOAD = """
import json, time
from pathlib import Path
from mlops_assets.definitions import build_definitions
definitions = build_definitions(Path({root!r}), strict=True)
built = time.process_time()
repository = definitions.get_repository_def()
print(json.dumps([built, time.process_time()]))
jobs = [job for job in repository.job_names if job.endswith("_retrain")]
assert len(jobs) == {count}, jobs
"""
CODE_SERVER = """
import json, time
from mlops_assets.definitions import defs
definitions = defs()
built = time.process_time()
definitions.get_repository_def()
print(json.dumps([built, time.process_time()]))
"""


def main() -> None:
    """Measure, then report the ratios to `import dagster`."""
    under = conditions(["dagster", "pydantic", "mlops-assets"])
    with tempfile.TemporaryDirectory() as folder:
        programs = {"import_dagster": IMPORT_DAGSTER, "code_server_1": CODE_SERVER}
        for count in MODELS:
            programs[str(count)] = LOAD.format(root=str(write_models(Path(folder), count)), count=count)
        seconds = measure(programs, home=Path(folder))
    figures = figures_of(seconds)
    goals = [at_most(name, figures[name], limit) for name, limit in LIMITS.items()]
    finish("load", figures=figures, goals=goals, under=under)


def figures_of(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """Name the seconds, and set those of our definitions against `import dagster`."""
    (floor,) = seconds["import_dagster"]
    figures = {"import_dagster_cpu_s": floor, "code_server_1_cpu_s": seconds["code_server_1"][1]}
    for count in MODELS:
        definitions, repository = seconds[str(count)]
        figures |= {f"definitions_{count}_cpu_s": definitions, f"repository_{count}_cpu_s": repository}
        figures |= {f"definitions_{count}_ratio": definitions / floor, f"repository_{count}_ratio": repository / floor}
    return figures


def write_models(folder: Path, count: int) -> Path:
    """Copy our definition files to a folder of their own, with `count` models over the same tables; return it."""
    root = folder / f"models_{count}" / "defs"
    shutil.copytree(DEFS, root, ignore=shutil.ignore_patterns("__pycache__"))
    for number in range(1, count):
        copy = root / f"{MODEL}_{number}"
        shutil.copytree(root / MODEL, copy)
        file = copy / "defs.yaml"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(f"name: {MODEL}\n", f"name: {MODEL}_{number}\n"), encoding="utf-8")
    return root


def measure(programs: Mapping[str, str], *, home: Path) -> dict[str, list[float]]:
    """Run every program once to warm up, then in turn; return the median of each of its figures."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ |= {"MLOPS_HOME": str(home / "home"), "PYTHONWARNINGS": "ignore"}
    rounds: dict[str, list[list[float]]] = {name: [] for name in programs}
    for number in range(1 + ROUNDS):
        for name, program in programs.items():
            done = subprocess.run(
                [sys.executable, "-c", program], env=environ, stdout=subprocess.PIPE, text=True, check=True
            )
            rounds[name] += [json.loads(done.stdout.splitlines()[-1])] if number else []
        print(f"round {number} of {ROUNDS}", file=sys.stderr)
    return {name: [median(figures) for figures in zip(*results, strict=True)] for name, results in rounds.items()}


if __name__ == "__main__":
    main()
