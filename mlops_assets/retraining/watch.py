"""Watch one scored window: count it, compare it with its past, and respond to what that calls for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlops_assets.lake.files import write_bytes
from mlops_assets.lake.tables import read
from mlops_assets.monitoring.drift import DriftReport, assess
from mlops_assets.monitoring.reference import Reference, past_windows
from mlops_assets.monitoring.report import render_report
from mlops_assets.monitoring.store import MonitoringStore, WindowProfile
from mlops_assets.predictions.held import window_rows
from mlops_assets.predictions.score import predictions_uri
from mlops_assets.predictor.artifact import load
from mlops_assets.retraining.held import held_windows
from mlops_assets.retraining.respond import respond
from mlops_assets.retraining.triage import triage
from mlops_assets.rollout.routing import champion_at
from mlops_assets.stats.profile import profile

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.lake.state import StateStore
    from mlops_assets.lake.windows import Window
    from mlops_assets.monitoring.spec import MonitoringSpec
    from mlops_assets.retraining.events import Event
    from mlops_assets.retraining.triage import Triage
    from mlops_assets.stats.grid import Kind
    from mlops_assets.stats.profile import Profile

Render = Literal["on_event", "always", "never"]


@dataclass(frozen=True)
class Watched:
    """What came of a window.

    Attributes:
        recent: Reports up to this window, oldest first.
        event: The event that is open for it, or was.
        page_uri: The Evidently page, if one was rendered.
    """

    report: DriftReport
    decision: Triage
    recent: tuple[DriftReport, ...]
    event: Event | None
    report_uri: str
    page_uri: str | None


def profile_window(store: MonitoringStore, state: StateStore, window: Window) -> WindowProfile:
    """Count the scored rows of a window on the training bins of the version that scored it, and keep the counts.

    Raises:
        NotRouted: No version answered at the start of the window.
    """
    route = champion_at(state, store.model, window.start)
    rows = window_rows(state, lake=store.lake, model=store.model, window=window.key)
    counted = profile(rows, _reference(route.artifact_uri).grid)
    kept = WindowProfile(counted, route.version, route.artifact_uri)
    store.write("profiles", window.key, kept)
    return kept


def watch_window(
    store: MonitoringStore,
    state: StateStore,
    window: Window,
    *,
    spec: MonitoringSpec,
    exogenous: frozenset[str],
    render: Render,
    now: datetime,
) -> Watched:
    """Assess the drift of a profiled window, hold it or open an event if due, and keep the report.

    Raises:
        WindowNotProfiled: The window has no profile.
    """
    current = store.profile(window.key)
    reference = _reference(current.artifact_uri)
    report, earlier, decision = judge_window(
        store, state, window, current.profile, reference=reference, spec=spec, exogenous=exogenous
    )
    uri = store.write("drift", window.key, report)
    event = respond(
        decision,
        report,
        state=state,
        model=store.model,
        version=current.version,
        window=window,
        profile_id=current.profile.id,
        now=now,
    )
    wanted = render == "always" or (render == "on_event" and event is not None)
    page = _render(store, state, report, reference) if wanted else None
    return Watched(report, decision, (*earlier, report), event, uri, page)


def judge_window(
    store: MonitoringStore,
    state: StateStore,
    window: Window,
    current: Profile,
    *,
    reference: Reference,
    spec: MonitoringSpec,
    exogenous: frozenset[str],
) -> tuple[DriftReport, list[DriftReport], Triage]:
    """Return the drift of a window, the reports before it, and what it calls for; nothing is kept.

    Args:
        current: Counts of the window on the grid of `reference`.
    """
    held = {other.window.key for other in held_windows(state, store.model)} - {window.key}
    profiles = {key: other.profile for key, other in store.profiles().items()}
    past = past_windows(reference, profiles, before=window.key, held=held)
    report = assess(window.key, current, past, grid=reference.grid, spec=spec, exogenous=exogenous)
    earlier = [other for key, other in store.drift_reports().items() if key < window.key]
    return report, earlier, triage(report, [other for other in earlier if other.window not in held], spec=spec)


def _reference(artifact_uri: str) -> Reference:
    return Reference.from_dict(load(artifact_uri).reference_profile or {})


def _render(store: MonitoringStore, state: StateStore, report: DriftReport, reference: Reference) -> str | None:
    """Render the window against the scored windows of its baseline; nothing to show if none of them was scored."""
    import pyarrow as pa

    uri = predictions_uri(store.lake, store.model)
    scored = [read(uri, window=key) for key in report.baseline if key in store.profiles()]
    if not scored:
        return None
    kinds: dict[str, Kind] = dict.fromkeys(reference.grid.numeric, "numeric")
    kinds |= dict.fromkeys(reference.grid.categorical, "categorical")
    then = pa.concat_tables(scored, promote_options="permissive")
    now = window_rows(state, lake=store.lake, model=store.model, window=report.window)
    page = render_report(then, now, kinds, seed=0)
    place = store.uri("reports", report.window, "html")
    write_bytes(place, page)
    return place
