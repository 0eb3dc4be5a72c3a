"""A rollout at a glance: the challenger's share over time with the verdicts, and each metric against its limit."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from mlops_assets.rollout.machine import overall, spec_of
from mlops_assets.rollout.moves import named

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mlops_assets.rollout.state import Look, Rollout

COLORS = {"pass": "#2e7d32", "fail": "#c62828", "inconclusive": "#ef8f00", "no_data": "#757575"}
TOP = 3.0  # values further above their limits are drawn here


def rollout_chart(rollout: Rollout) -> bytes:
    """Return a PNG with the newest look of each step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.6), dpi=80, layout="constrained")
    upper, lower = figure.subplots(2, sharex=True, height_ratios=[3, 2])
    _draw_share(upper, rollout)
    _draw_metrics(lower, rollout.looks)
    lower.xaxis.axis_date()
    figure.autofmt_xdate()
    png = BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def share_over_time(rollout: Rollout) -> list[tuple[datetime, float]]:
    """Return from when on the challenger has had which percentage; the last point is the newest known time."""
    percents = {named(step): step.percent for step in spec_of(rollout).steps}
    points: list[tuple[datetime, float]] = []
    for action in rollout.actions:
        percent = percents.get(action.what, points[-1][1] if points else 0.0)
        if action.what == "promoted":
            percent = 100.0
        elif action.what in {"rolled_back", "aborted", "superseded"}:
            percent = 0.0
        points.append((action.at, percent))
    newest = max([points[-1][0], *(look.at for look in rollout.looks)])
    return [*points, (newest, points[-1][1])]


def _draw_share(axes: Any, rollout: Rollout) -> None:
    times, percents = zip(*share_over_time(rollout), strict=True)
    axes.step(times, percents, where="post", color="#1565c0")
    axes.fill_between(times, percents, step="post", color="#1565c0", alpha=0.15)
    for outcome, color in COLORS.items():
        seen = [look for look in rollout.looks if overall(look.judged) == outcome]
        if seen:
            label = outcome.replace("_", " ")
            axes.scatter([look.at for look in seen], [look.percent for look in seen], c=color, label=label, zorder=3)
    if rollout.looks:
        axes.legend(loc="upper left", fontsize=8)
    axes.set_ylim(-5, 108)
    axes.set_ylabel("challenger, %")
    axes.set_title(f"{rollout.id}: {rollout.phase.replace('_', ' ')}", fontsize=10)


def _draw_metrics(axes: Any, looks: Sequence[Look]) -> None:
    for name in dict.fromkeys(one.metric for look in looks for one in look.judged):
        seen = [
            (look.at, one.value / one.limit)
            for look in looks
            for one in look.judged
            if one.metric == name and one.value is not None and one.limit
        ]
        if seen:
            axes.plot([at for at, _ in seen], [min(max(level, 0), TOP) for _, level in seen], marker=".", label=name)
    axes.axhline(1, color="#c62828", linewidth=1, linestyle="--")
    axes.set_ylim(0, TOP * 1.05)
    axes.set_ylabel("value / limit")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", fontsize=7, ncols=3)
