"""What the demo plays: the data, the dates, the one fault, and how far an earlier run of it came."""

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path

from mlops_assets.errors import MlopsError

MODEL = "flight_delay"
SOURCES = {"flights": "nycflights", "planes": "nycplanes"}
FIRST_WEEK, FIRST_SERVED_WEEK = date(2012, 12, 30), date(2013, 3, 31)
LAST_WEEKS = 40  # 2013-03-31 to 2014-01-05
FAULTY_WEEK = date(2013, 5, 19)
FAULT = "NYCFLIGHTS_KILOMETRES"
PROGRESS = "demo.json"


class NotTheDemos(MlopsError):
    """The demo would mix with somebody's own lake, and set its clock back to 2013."""

    def __init__(self, home: Path) -> None:
        super().__init__(
            "mlops demo",
            found=f"a lake of your own in {home}",
            required="an empty home, or one that a demo left",
            remedy="Set MLOPS_HOME to another folder, or put this one aside with `mlops demo --restart`.",
        )


@dataclass
class Week:
    """One replayed week as the timeline shows it."""

    window: str
    version: int = 0
    decision: str = ""
    reason: str = ""
    action: str = ""


@dataclass
class Rolled:
    """One rollout as the demo tells it; `steps` are those that it was looked at."""

    window: str
    version: int
    phase: str
    steps: str
    why: str


@dataclass
class Progress:
    """The weeks that were replayed; written after each, so that the demo can go on where it stopped.

    Attributes:
        rollouts: Those of retrained versions.
        mishap: That of the wrong version, which ends the demo.
    """

    trained: bool = False
    weeks: list[Week] = field(default_factory=list)
    rollouts: list[Rolled] = field(default_factory=list)
    mishap: Rolled | None = None

    @classmethod
    def read(cls, home: Path) -> "Progress":
        """Return how far the demo came in `home`; its first call there marks the folder as the demo's.

        Raises:
            NotTheDemos: The folder holds a lake that no demo made.
        """
        path = home / PROGRESS
        if not path.exists():
            if (home / "lake").exists():
                raise NotTheDemos(home)
            home.mkdir(parents=True, exist_ok=True)
            cls().write(home)
        stored = json.loads(path.read_text())
        mishap = stored.get("mishap")
        return cls(
            stored["trained"],
            [Week(**week) for week in stored["weeks"]],
            [Rolled(**one) for one in stored.get("rollouts", [])],
            Rolled(**mishap) if mishap else None,
        )

    def write(self, home: Path) -> None:
        draft = home / f"{PROGRESS}.tmp"
        draft.write_text(json.dumps(asdict(self)))
        os.replace(draft, home / PROGRESS)


def served_weeks(count: int) -> list[date]:
    """Return the first days of the weeks to replay."""
    return [FIRST_SERVED_WEEK + timedelta(weeks=index) for index in range(count)]


def switch_fault_on() -> None:
    """Let the source report distances in kilometres for one week, as a feed does whose unit was changed."""
    os.environ[FAULT] = f"{FAULTY_WEEK}/{FAULTY_WEEK + timedelta(weeks=1)}"
