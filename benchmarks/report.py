"""What every benchmark ends with: one line of JSON, also kept in `benchmarks/results/<name>.json`."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Goal:
    """A value that was aimed at, and whether it was reached."""

    name: str
    value: float
    goal: float
    met: bool


def at_most(name: str, value: float, goal: float) -> Goal:
    """Return the goal that `value` does not exceed `goal`."""
    return Goal(name, round(value, 3), goal, value <= goal)


def at_least(name: str, value: float, goal: float) -> Goal:
    """Return the goal that `value` reaches `goal`."""
    return Goal(name, round(value, 3), goal, value >= goal)


def conditions(packages: Sequence[str]) -> dict[str, object]:
    """Say on what machine, how busy, when, and with which versions the figures were taken."""
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {package: version(package) for package in packages},
    }


def finish(benchmark: str, *, figures: Mapping[str, float], goals: Sequence[Goal], under: Mapping[str, object]) -> None:
    """Write the result file and print the result as the last line."""
    result = {
        "benchmark": benchmark,
        "figures": {name: round(figure, 4) for name, figure in figures.items()},
        "goals": [asdict(goal) for goal in goals],
        "conditions": dict(under),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{benchmark}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result), flush=True)
