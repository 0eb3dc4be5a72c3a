"""What is read of an experiment: compacted requests, feedback and each unit's past, against a count by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiment.experiments import DAY, START, experiment_of, spec_of
from predictions.log.served import line
from predictions.log.test_log_labels import send, truth

from mlops_assets.experiment.observed import Observed
from mlops_assets.experiment.reading import observe
from mlops_assets.experiment.state import Experiment
from mlops_assets.predictions.log.compaction import Reading, compact
from mlops_assets.predictions.log.labels import LabelRules
from mlops_assets.predictions.log.look import Log
from mlops_assets.rollout.assignment import hash_of, is_challengers, unit_of
from mlops_assets.serving.body import read_rows

HOUR = timedelta(hours=1)


def log_rows(capture: Path, experiment: Experiment, rows: list[tuple[str | None, datetime, float]]) -> None:
    """Log one request for each (customer, time, score), as a server does before and during the experiment."""
    lines = []
    for number, (customer, at, score) in enumerate(rows):
        facts: dict[str, Any] = dict(event_id=f"{at:%d%H}-{number}", predictions=[score], features={})
        if at >= START:
            traffic = experiment.traffic
            unit = unit_of([facts["event_id"] if customer is None else customer])
            arm = "challenger" if is_challengers(unit, traffic.salt, traffic.share) else "champion"
            named = dict(label=traffic.label, units=[hash_of(unit, traffic.salt).hex()])
            facts |= dict(variant=arm, assigned=arm, **named)
        lines.append(line([{"customer": customer, "amount": 1.0}], at, **facts))
    path = capture / "returns/AllTraffic/2024/05/06/00/00-w1-1.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(one + b"\n" for one in lines))


def seen_of(
    folder: Path, rows: list[tuple[str | None, datetime, float]], source: str = "score", **spec: Any
) -> Observed:
    primary = {"source": source, "kind": "mean", "baseline": 0.5, "deviation": 0.3}
    experiment = experiment_of(spec_of(primary, **spec))
    log_rows(folder / "capture", experiment, rows)
    compact(folder / "capture", str(folder / "lake"), Reading("returns", read_rows, lambda _: {}, text=("customer",)))
    log = Log(folder / "capture", str(folder / "lake"), "binary")
    return observe(log, experiment, LabelRules("binary", DAY), now=START + 2 * DAY)


ROWS: list[tuple[str | None, datetime, float]] = [
    *((f"c{number}", START - 2 * DAY, number / 100) for number in range(40)),
    *((f"c{number}", START - DAY, number / 50) for number in range(20)),
    *((f"c{number}", START - 40 * DAY, 9.0) for number in range(40)),  # too long ago
    *((f"c{number}", START + HOUR, number / 80) for number in range(60)),
    *((f"c{number}", START + 2 * HOUR, number / 40) for number in range(30)),
    *((None, START + 3 * HOUR, 0.25) for _ in range(10)),  # nobody's: each request for itself
]


def test_a_units_outcome_is_the_mean_of_its_rows_and_its_arm_the_one_it_fell_to(tmp_path: Path) -> None:
    seen = seen_of(tmp_path, ROWS)
    traffic = experiment_of(spec_of()).traffic
    known = {f"c{n}": np.mean([n / 80, n / 40]) if n < 30 else n / 80 for n in range(60)}
    fell = {name: is_challengers(unit_of([name]), traffic.salt, 0.5) for name in known}

    for arm, is_new in (("champion", False), ("challenger", True)):
        expected = sorted(value for name, value in known.items() if fell[name] == is_new)
        found = sorted(getattr(seen.primary, arm).outcomes)
        assert [one for one in found if one != 0.25] == pytest.approx([one for one in expected if one != 0.25])
        assert getattr(seen.sample, arm).units == len(found)
        assert getattr(seen.primary, arm).before is None
    assert len(seen.primary.champion) + len(seen.primary.challenger) == 70


def test_a_units_past_is_found_under_its_own_name_whatever_its_hash_was(tmp_path: Path) -> None:
    seen = seen_of(tmp_path, ROWS, cuped=True)
    past = {n: np.mean([n / 100, n / 50]) if n < 20 else n / 100 for n in range(40)}

    pairs = [
        (outcome, before)
        for arm in (seen.primary.champion, seen.primary.challenger)
        for outcome, before in zip(arm.outcomes, arm.before, strict=True)  # type: ignore[arg-type]
    ]

    known = sorted((outcome, before) for outcome, before in pairs if not np.isnan(before))
    expected = sorted((np.mean([n / 80, n / 40]) if n < 30 else n / 80, past[n]) for n in range(40))
    assert np.array(known) == pytest.approx(np.array(expected))
    assert sum(np.isnan(before) for _, before in pairs) == 20 + 10


def test_a_units_past_is_what_was_known_of_it_when_the_experiment_began(tmp_path: Path) -> None:
    """A label that came since may be the challenger's doing, and must not be taken out as if it had been there before."""
    rows: list[tuple[str | None, datetime, float]] = [
        *((f"c{number}", START - HOUR, 0.5) for number in range(4)),
        *((f"c{number}", START + HOUR, 0.5) for number in range(4)),
    ]
    before, since = f"{START - HOUR:%d%H}", f"{START + HOUR:%d%H}"
    labels = [truth(f"{before}-{number}", str(number), received=START - timedelta(minutes=1)) for number in (1, 2)]
    labels += [truth(f"{before}-{number}", "9", received=START + timedelta(minutes=1)) for number in (2, 3)]
    labels += [truth(f"{since}-{4 + number}", "1", received=START + 2 * HOUR) for number in range(4)]
    send(tmp_path / "capture", labels)

    seen = seen_of(tmp_path, rows, source="feedback", cuped=True)

    pasts = [*seen.primary.champion.before, *seen.primary.challenger.before]  # type: ignore[misc]
    assert sorted(past for past in pasts if not np.isnan(past)) == [1, 2]
    assert len(pasts) == 4


def test_outcome_guardrails_are_measured_beside_the_primary_metric(tmp_path: Path) -> None:
    rail = {"name": "outcome", "margin": 0.1, "outcome": {"source": "score", "kind": "mean"}}
    seen = seen_of(tmp_path, ROWS, guardrails=[{"name": "error_share", "margin": 0.1}, rail])

    assert list(seen.guardrails) == [1]
    assert sorted(seen.guardrails[1].champion.outcomes) == sorted(seen.primary.champion.outcomes)
    assert seen.sample.champion.requests + seen.sample.challenger.requests == 100


def test_before_anything_is_logged_there_is_nothing_to_see(tmp_path: Path) -> None:
    seen = seen_of(tmp_path, [], cuped=True)

    assert (len(seen.primary.champion), seen.sample.champion.requests) == (0, 0)
