"""What the `experiment` part of a file says that does not fit the model; `mlops check` asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.experiment.spec import PAST_DAYS
from mlops_assets.training.misfits import Misfit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlops_assets.experiment.spec import ExperimentSpec, OutcomeSpec
    from mlops_assets.predictor.signature import Task


def experiment_misfits(
    spec: ExperimentSpec, task: Task, *, carried: Sequence[str], retention_days: float | None
) -> Iterator[Misfit]:
    """Yield what does not fit.

    Args:
        carried: Columns that a request carries.
        retention_days: Of the prediction log; None: for ever.
    """
    needed = spec.maximum_days + (PAST_DAYS if spec.cuped else 0)
    if retention_days is not None and retention_days < needed:
        found = f"{spec.maximum_days:g} beside `prediction_log.retention_days: {retention_days:g}`"
        past = f" and {PAST_DAYS} days before it, for `cuped`" if spec.cuped else ""
        required = f"a log that is kept for {needed:g} days: the whole experiment{past}"
        yield Misfit(("maximum_days",), found, required, "Keep the log longer, or end the experiment earlier.")
    for position, column in enumerate(spec.unit):
        if column not in carried:
            required = f"a column that a request carries: one of {', '.join(carried)}"
            remedy = "Name a request input, an entity of the model's views or a key of its spine."
            yield Misfit(("unit", position), repr(column), required, remedy)
    yield from _outcome(spec.primary, task, ("primary",))
    for position, guardrail in enumerate(spec.guardrails):
        if guardrail.outcome is not None:
            yield from _outcome(guardrail.outcome, task, ("guardrails", position, "outcome"))


def _outcome(outcome: OutcomeSpec, task: Task, place: tuple[str | int, ...]) -> Iterator[Misfit]:
    if task == "multiclass" and outcome.source == "label":
        required = "a number: `error`, `score` or `feedback`"
        yield Misfit((*place, "source"), "the label of a multiclass model, a class", required, "Choose one of these.")
    if task == "regression" and outcome.kind == "proportion" and outcome.source != "feedback":
        found = f"the {outcome.source} of a regression as a proportion"
        remedy = "Write `kind: mean`, and of the primary metric its `deviation`."
        yield Misfit((*place, "kind"), found, "`kind: mean`, for it is any number", remedy)
