"""What the `gate` part of a file says that does not fit the model's task, or itself; `mlops check` asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.features.spec import OUTCOME
from mlops_assets.stats.metrics import TASK_METRICS
from mlops_assets.training.misfits import Misfit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlops_assets.evaluation.spec import GateSpec
    from mlops_assets.predictor.signature import Task


def gate_misfits(gate: GateSpec, task: Task) -> Iterator[Misfit]:
    """Yield what does not fit; columns of the spine's query are known to the evaluation only."""
    yield from _metrics(gate, task)
    yield from _columns(gate)
    if gate.fairness and task != "binary":
        required = "a binary task: fairness compares yes-or-no decisions"
        yield Misfit(("fairness",), f"fairness of a {task} model", required, "Remove it, or use `gate.slices`.")
    if "decision_threshold" in gate.model_fields_set and task != "binary":
        found = f"a decision threshold of a {task} model"
        yield Misfit(("decision_threshold",), found, "a binary task", "Remove `gate.decision_threshold`.")
    if gate.calibration_error is not None and task == "regression":
        found = "a calibration error of a regression"
        yield Misfit(("calibration_error",), found, "a task with probabilities", "Remove `gate.calibration_error`.")
    if gate.baseline_by and gate.baseline == "prior":
        required = "a baseline that looks at other rows, `last_value` or `seasonal_naive`"
        yield Misfit(
            ("baseline_by",), "columns for the baseline `prior`", required, "Choose one, or remove the columns."
        )


def _metrics(gate: GateSpec, task: Task) -> Iterator[Misfit]:
    known = TASK_METRICS[task]
    named: list[tuple[tuple[str, ...], str]] = [(("metric",), gate.metric)] if gate.metric else []
    named += [(("floors", name), name) for name in gate.floors]
    named += [(("non_inferior", name), name) for name in gate.non_inferior]
    for place, name in named:
        if name not in known:
            required = f"a metric of a {task} model: {', '.join(known)}"
            yield Misfit(place, repr(name), required, "Choose one of these.")
    judged = gate.metric or known[0]
    if gate.floor is not None and judged in gate.floors:
        found = f"a second floor of {judged} beside `gate.floor`"
        yield Misfit(("floors", judged), found, "one floor of a metric", "Remove one of the two.")


def _columns(gate: GateSpec) -> Iterator[Misfit]:
    for key, ones in (("slices", gate.slices), ("fairness", gate.fairness)):
        seen: set[str] = set()
        for position, one in enumerate(ones):
            place = (key, position, "by")
            if one.by in OUTCOME:
                required = "a column that is known before the outcome"
                yield Misfit(place, repr(one.by), required, "Name a feature or another column of the spine.")
            if one.by in seen:
                yield Misfit(place, f"{one.by!r} twice", "each column once", "Merge the two.")
            seen.add(one.by)
