"""Experiments from start to decision record: two versions of the shop's model, simulated days of traffic, one run a day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from orchestration.conftest import opened
from predictions.log.served import answer
from shop.deployment import JOB, TRAINING_WEEKS, Shop, value
from shop.versions import edit
from shop.world import week_start
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.experiment.state import Experiment, read_experiment
from mlops_assets.lake.state import open_state
from mlops_assets.predictions.log.line import EventMetadata, GroundTruth, Part
from mlops_assets.rollout.assignment import hash_of, is_challengers, unit_of
from mlops_assets.rollout.routing import Routing, read_routing

pytestmark = pytest.mark.slow
DAY = timedelta(days=1)
CUSTOMERS = 400  # a day, all new
GOOD = (0.20, 0.45)  # share of orders that are kept: of the champion, of the challenger
EXPERIMENT = """
  approval: manual
  experiment:
    unit: [customer]
    primary: {source: feedback, baseline: 0.20, minimum_effect: 0.15}
    guardrails: [{name: error_share, margin: 0.02}]
    units_per_day: 400
    minimum_days: 3
    analysis: sequential
    on_win: promote
    schedule: "0 6 * * *"
"""


@dataclass
class Served:
    """A shop with an approved challenger, and customers whose orders are logged as the server logs them."""

    shop: Shop
    events: int = 0

    @property
    def routing(self) -> Routing:
        stored = read_routing(open_state(self.shop.lake), "returns")
        assert stored is not None
        return stored[0]

    @property
    def experiment(self) -> Experiment:
        found = read_experiment(open_state(self.shop.lake), "returns")
        assert found is not None
        return found

    def command(self, *words: str) -> str:
        defs = ["--defs", str(self.shop.defs)] if words[0] in {"plan", "start"} else []
        result = CliRunner().invoke(app, ["experiment", *words, *defs], env={"COLUMNS": "200"})
        assert result.exit_code == 0, result.output
        return result.output

    def serve(self, *, failures: float = 0.0) -> None:
        """Log one day of orders, two for each customer, with feedback whether each was kept."""
        traffic, now, rng = self.routing.challenger, self.shop.replay.clock.now(), np.random.default_rng(self.events)
        lines, truths = [], []
        for number in range(self.events, self.events + CUSTOMERS):
            customer = f"c{number}"
            unit = unit_of([customer])
            is_new = traffic is not None and is_challengers(unit, traffic.salt, traffic.share)
            taste = rng.random() < GOOD[is_new]  # of the customer: the orders of one are no two observations
            for order in (2 * number, 2 * number + 1):
                more = {"label": traffic.label, "units": [hash_of(unit, traffic.salt).hex()]} if traffic else {}
                has_failed = is_new and rng.random() < failures
                arm = {"variant": "challenger" if is_new and not has_failed else "champion", "version": 1 + is_new}
                lines.append(
                    answer(
                        order,
                        request=[{"customer": customer, "amount": 20.0, "channel": "app"}],
                        at=now + timedelta(seconds=number % 80_000),
                        assigned="challenger" if is_new else "champion",
                        error="it broke" if has_failed else "",
                        **arm,
                        **more,
                    )
                )
                meta = EventMetadata(f"e{order}", now.isoformat())
                truths.append(
                    msgspec.json.encode(GroundTruth(Part("text/csv", "OUTPUT", str(int(taste)), "CSV"), meta))
                )
        self.events += CUSTOMERS
        self._write("AllTraffic", now, lines)
        self._write("feedback", now, truths)

    def _write(self, kind: str, now: datetime, lines: list[bytes]) -> None:
        path = self.shop.home / "capture/dev/returns" / kind / f"{now:%Y/%m/%d/%H}" / f"00-w1-{self.events}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(line + b"\n" for line in lines))

    def next_day(self, **more: float):
        self.serve(**more)
        self.shop.replay.clock.set(self.shop.replay.clock.now() + DAY)
        return self.shop.replay.run("returns_experiment")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch, opened(tmp_path_factory.mktemp("ab"), patch) as shop:
        file = shop.defs / "returns" / "defs.yaml"
        edit(file, {"inputs: [amount, channel]": "inputs: [amount]", "n_estimators: 40": "n_estimators: 8"})
        file.write_text(file.read_text().rstrip("\n") + EXPERIMENT)
        shop.reload()
        shop.deploy()
        decide(shop, "approve", "1")
        edit(file, {"inputs: [amount]": "inputs: [amount, channel]", "n_estimators: 8": "n_estimators: 40"})
        shop.reload()
        shop.replay.run(JOB)
        decide(shop, "approve", "2", "--no-deploy")
        shop.replay.clock.set(week_start(TRAINING_WEEKS))
        yield Served(shop)


def decide(shop: Shop, word: str, *more: str) -> None:
    result = CliRunner().invoke(app, [word, "returns", *more, "--reason", "fine", "--defs", str(shop.defs)])
    assert result.exit_code == 0, result.output


def test_1_the_location_has_the_job_its_schedule_and_the_asset(served: Served) -> None:
    repository = served.shop.replay.definitions.get_repository_def()

    assert "returns_experiment" in {job.name for job in repository.get_all_jobs()}
    schedules = {one.name: one.cron_schedule for one in repository.schedule_defs}
    assert schedules["returns_experiment_schedule"] == "0 6 * * *"
    nothing = served.shop.replay.run("returns_experiment")
    assert [one.passed for one in nothing.get_asset_check_evaluations() if one.check_name == "experiment_valid"] == [
        True
    ]


def test_2_a_guardrail_that_breaks_ends_it_the_same_day(served: Served) -> None:
    served.serve()  # the day before
    served.shop.replay.clock.set(served.shop.replay.clock.now() + DAY)
    assert "experiment returns-ab-2-1 has begun" in served.command("start", "returns", "2", "--hypothesis", "more kept")

    result = served.next_day(failures=0.2)

    assert (served.experiment.phase, served.experiment.looks[-1].verdict) == ("stopped", "breach")
    assert (served.routing.champion.version, served.routing.challenger) == (1, None)
    assert value(result, "experiment", "verdict") == "breach"
    assert "Guardrail error_share is breached" in str(value(result, "experiment", "said"))
    check = next(one for one in result.get_asset_check_evaluations() if one.check_name == "experiment_valid")
    assert not check.passed
    page = (Path(served.shop.lake) / "experiments/returns/returns-ab-2-1/decision.md").read_text()
    assert "**Verdict:** breach" in page
    assert "error\\_share" in page


def test_3_a_better_challenger_wins_after_the_minimum_days_and_takes_all_traffic(served: Served) -> None:
    served.command("start", "returns", "2", "--hypothesis", "more orders are kept")
    assert "Nobody has looked yet" in served.command("status", "returns")

    first = served.next_day()
    assert value(first, "experiment", "verdict") == "not yet"
    assert "run for 2.0 more days" in str(value(first, "experiment", "said"))
    means = str(value(first, "experiment", "means"))
    assert means.startswith("Means of champion and challenger: 0.")
    assert means in " ".join(served.command("status", "returns").split())
    assert "| error_share | holds | errors: 0.000%" in str(value(first, "experiment", "guardrails"))
    served.next_day()
    assert served.experiment.is_running
    last = served.next_day()

    experiment, look = served.experiment, served.experiment.looks[-1]
    assert (experiment.phase, look.verdict, len(experiment.looks)) == ("concluded", "win", 3)
    assert sum(look.units) == sum(look.outcomes) == 3 * CUSTOMERS  # customers, not orders
    assert look.primary is not None
    assert look.primary.low <= GOOD[1] - GOOD[0] <= look.primary.high
    assert (served.routing.champion.version, served.routing.challenger) == (2, None)
    assert "win: The challenger is better" in served.routing.history[-1].reason
    assert value(last, "experiment", "p_value") <= 0.05
    assert "data:image/png" in str(value(last, "experiment", "difference over time"))
    assert "| challenger | 2 |" in str(value(last, "experiment", "arms"))


def test_4_the_record_says_what_was_planned_seen_and_decided(served: Served) -> None:
    folder = Path(served.shop.lake) / "experiments/returns/returns-ab-2-2"
    page, facts = (folder / "decision.md").read_text(), json.loads((folder / "decision.json").read_text())

    assert page.startswith("# Experiment returns-ab-2-2: concluded\n")
    for words in ("more orders are kept", "**Verdict:** win", "The challenger is better", "| guardrail |", "customer"):
        assert words in page
    assert (facts["verdict"], facts["phase"], facts["plan"]["size"]["effect"]) == ("win", "concluded", 0.15)
    shown = json.loads(served.command("status", "returns", "--json"))
    assert shown["verdict"] == "win"
    assert Path(shown["decision"]) == folder / "decision.md"
    assert "Record:" in served.command("status", "returns")


def test_5_a_run_after_the_end_changes_nothing(served: Served) -> None:
    before = served.experiment, served.routing

    served.next_day()

    assert (served.experiment, served.routing) == before
