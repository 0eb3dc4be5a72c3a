"""Drift at a glance for the metadata of an asset: a table of one window, a picture of many."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_assets.monitoring.channel import FeatureDrift
    from mlops_assets.monitoring.drift import DriftReport

MAX_WINDOWS = 26
MAX_CHANNELS = 30
NOTHING = "(too few rows or windows)"


def drift_table(report: DriftReport) -> str:
    """Return the features of one window as Markdown, the nearest to their limits first, the score last."""
    lines = ["| feature | PSI | limit | KS | missing | new | |", "|---|---:|---:|---:|---:|---:|---|"]
    return "\n".join([*lines, *(_row(channel) for channel in report.channels)])


def drift_chart(reports: Sequence[DriftReport]) -> bytes:
    """Return a PNG of PSI over its own limit, channel by window; the newest windows only.

    Args:
        reports: At least one report, oldest first.
    """
    from matplotlib.colors import TwoSlopeNorm
    from matplotlib.figure import Figure

    shown = reports[-MAX_WINDOWS:]
    names = sorted({channel.name for report in shown for channel in report.channels})[:MAX_CHANNELS] or [NOTHING]
    figure = Figure(figsize=(4 + 0.3 * len(shown), 3 + 0.25 * len(names)), dpi=80, layout="constrained")
    axes = figure.subplots()
    norm = TwoSlopeNorm(vmin=0, vcenter=1, vmax=3)
    image = axes.imshow([[_level(r, name) for r in shown] for name in names], aspect="auto", norm=norm, cmap="RdYlGn_r")
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(shown)), [report.window for report in shown], rotation=90)
    figure.colorbar(image, label="PSI / own limit")
    png = BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def _level(report: DriftReport, name: str) -> float:
    channel = next((channel for channel in report.channels if channel.name == name), None)
    return channel.psi / channel.limit if channel and channel.limit else float("nan")


def _row(channel: FeatureDrift) -> str:
    cells = (
        channel.name,
        f"{channel.psi:.3f}",
        _cell(channel.limit),
        _cell(channel.ks),
        f"{channel.missing_share:.1%}",
        f"{channel.new_category_share:.2%}",
        _verdict(channel),
    )
    return "| " + " | ".join(cells) + " |"


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _verdict(channel: FeatureDrift) -> str:
    verdict = ", ".join(channel.faults) or ("above its limit" if channel.exceeded else "")
    return f"{verdict} (exogenous)" if verdict and channel.exogenous else verdict
