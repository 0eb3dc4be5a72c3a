"""One window of `<model>/predictions`: scored, judged, then published, held back or refused."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlops_assets.assets.model import Model
from mlops_assets.lake.state import StateStore
from mlops_assets.lake.windows import Window

if TYPE_CHECKING:
    from mlops_assets.contract.findings import Finding
    from mlops_assets.predictions.batch import Batch, Scored
    from mlops_assets.predictor.artifact import Predictor
    from mlops_assets.stats.profile import Profile

INPUTS = "inputs_as_before"


@dataclass(frozen=True)
class ScoredWindow:
    """What came of a window.

    Attributes:
        findings: The contract of the predictions, and where a drift holds them back, what was found of the inputs.
        delta_version: Of the table, if the window was published.
        refusal: Why it was refused.
    """

    window: str
    outcome: Literal["published", "held", "refused"]
    findings: "list[Finding]"
    rows: int
    form: str
    score_mean: float | None
    model_version: int
    report_uri: str
    delta_version: int | None = None
    refusal: str | None = None


def score_one(model: Model, window: Window, *, lake: str, state: StateStore) -> ScoredWindow:
    """Score a window with the version routed at its start, and publish it if nothing speaks against that.

    Raises:
        MlopsError: The raw window is not published, no version was routed, or the vectors cannot be made.
    """
    from mlops_assets.contract.verdict import require_published
    from mlops_assets.features.vectors import window_vector_parts
    from mlops_assets.monitoring.reference import Reference
    from mlops_assets.predictions.batch import Batch, score_batch
    from mlops_assets.predictor.artifact import load
    from mlops_assets.rollout.routing import champion_at

    source, table = model.table.split("/")
    require_published(lake, source, table, window.key)
    route = champion_at(state, model.name, window.start)
    predictor, batch = load(route.artifact_uri), Batch(lake, model.name, window, route.version)
    past = predictor.reference_profile if model.spec.scoring.hold_on_drift else None
    scored = score_batch(
        batch,
        window_vector_parts(model.definition(), lake=lake, window=window),
        predictor,
        contract=model.spec.scoring.contract,
        looked_up=[reference.split(":")[1] for reference in model.spec.features],
        grid=Reference.from_dict(past).grid if past else None,
    )
    try:
        findings = [*scored.findings, *_inputs(model, window, scored, predictor, lake=lake, state=state)]
    except BaseException:
        scored.staged.discard()
        raise
    return _conclude(batch, scored, findings, state)


def _inputs(
    model: Model, window: Window, scored: "Scored", predictor: "Predictor", *, lake: str, state: StateStore
) -> "list[Finding]":
    """Return what the inputs call for, where the file asks for it."""
    if not model.spec.scoring.hold_on_drift:
        return []
    from mlops_assets.contract.findings import Finding
    from mlops_assets.predictions.held import is_released

    reasons = "" if scored.profile is None else _reasons(model, window, scored.profile, predictor, lake, state)
    passed = not reasons
    if scored.profile is not None and is_released(state, model.name, window.key, scored.profile.id):
        passed, reasons = True, f"{reasons} (released)"
    detail = reasons or "nothing to investigate"
    return [Finding.of_table(INPUTS, "block", passed=passed, total=scored.rows, detail=detail)]


def _reasons(
    model: Model, window: Window, counted: "Profile", predictor: "Predictor", lake: str, state: StateStore
) -> str:
    from mlops_assets.monitoring.reference import Reference
    from mlops_assets.monitoring.store import MonitoringStore
    from mlops_assets.retraining.triage import Investigate
    from mlops_assets.retraining.watch import judge_window

    _, _, decision = judge_window(
        MonitoringStore(lake, model.name),
        state,
        window,
        counted,
        reference=Reference.from_dict(predictor.reference_profile or {}),
        spec=model.spec.monitoring,
        exogenous=model.exogenous,
    )
    return "; ".join(decision.reasons) if isinstance(decision, Investigate) else ""


def _conclude(batch: "Batch", scored: "Scored", findings: "list[Finding]", state: StateStore) -> ScoredWindow:
    from mlops_assets.predictions.batch import PredictionsRefused, write_report
    from mlops_assets.predictions.held import HeldOutput, hold_output, let_go

    lake, model, window = batch.lake, batch.model, batch.window.key
    holding = [one for one in findings if one.rule == INPUTS and not one.passed]
    outcome = "refused" if scored.broken else "held" if holding else "published"
    version = None
    if outcome == "refused":
        scored.staged.discard()
    elif outcome == "held":
        assert scored.profile is not None
        reasons = tuple(one.detail for one in holding)
        held = HeldOutput(reasons, scored.rows, batch.model_version, scored.profile.id)
        hold_output(state, scored.staged, held, lake=lake, model=model, window=window)
    else:
        version = scored.staged.publish()
        let_go(state, lake=lake, model=model, window=window)
    report = write_report(batch, scored, findings, outcome=outcome)
    refusal = str(PredictionsRefused(batch, scored.broken, report)) if scored.broken else None
    facts = scored.rows, scored.form, scored.score_mean, batch.model_version, report
    return ScoredWindow(window, outcome, findings, *facts, delta_version=version, refusal=refusal)
