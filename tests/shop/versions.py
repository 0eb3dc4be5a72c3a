"""Two versions of a multiclass model: the second knows the channel, which the first did not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shop.deployment import JOB, TRAINING_WEEKS, Shop
from shop.world import week_start

if TYPE_CHECKING:
    import dagster as dg

EDITS = {
    "task: binary": "task: multiclass",
    "returned::int as label": "case when not returned then 'kept' when amount > 40 then 'costly' else 'cheap' end as label",
    "inputs: [amount, channel]": "inputs: [amount]",
    "n_estimators: 40": "n_estimators: 8",
    "floor: 0.6": "floor: 0.9",
}
BETTER = {"inputs: [amount]": "inputs: [amount, channel]", "n_estimators: 8": "n_estimators: 40"}
CLASSES = ("cheap", "costly", "kept")


@dataclass(frozen=True)
class Versions:
    """What became of the shop.

    Attributes:
        environment: Variables under which a process finds it.
        runs: The run of each version, oldest first.
        week: Key of the window that version 2 scored.
        monitored: The run that watched that window, once its labels were in.
    """

    environment: dict[str, str]
    lake: str
    runs: tuple[dg.ExecuteInProcessResult, ...]
    week: str
    monitored: dg.ExecuteInProcessResult


def edit(file: Path, edits: dict[str, str]) -> None:
    text = file.read_text()
    for before, after in edits.items():
        assert before in text
        text = text.replace(before, after)
    file.write_text(text)


def train_two_versions(shop: Shop, environment: dict[str, str]) -> Versions:
    """Train, deploy, score one week with the second version and look at it when its labels are known."""
    file = shop.defs / "returns" / "defs.yaml"
    edit(file, EDITS)
    shop.reload()
    shop.prepare()
    first = shop.replay.run(JOB)
    edit(file, BETTER)
    shop.reload()
    second = shop.replay.run(JOB)
    shop.serve_week(TRAINING_WEEKS)
    shop.replay.clock.set(week_start(TRAINING_WEEKS + 2))
    week = shop.key(TRAINING_WEEKS)
    monitored = shop.replay.run("returns_monitor", partition=week)
    return Versions(environment, shop.lake, (first, second), week, monitored)
