"""The looks of an experiment as a picture: the difference with its interval, closing in over time."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_assets.experiment.state import Experiment

DAY_SECONDS = 86_400


def sequence_chart(experiment: Experiment) -> bytes | None:
    """Return a PNG of the difference at each look; None while none may be seen."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    seen = [(look.at, look.primary) for look in experiment.looks if look.primary is not None]
    if not seen:
        return None
    days = [(at - experiment.started_at).total_seconds() / DAY_SECONDS for at, _ in seen]
    low, high, middle = ([getattr(one, name) for _, one in seen] for name in ("low", "high", "difference"))
    figure = Figure(figsize=(7, 3.6), dpi=80, layout="constrained")
    axes = figure.subplots()
    sure, effect = f"{1 - experiment.plan.alpha:.0%} interval", experiment.plan.size.effect
    if len(seen) == 1:
        axes.errorbar(
            days,
            middle,
            yerr=[[middle[0] - low[0]], [high[0] - middle[0]]],
            fmt="o",
            capsize=4,
            label=f"difference, {sure}",
        )
    else:
        axes.fill_between(days, low, high, alpha=0.25, label=f"{sure}, valid at every look")
        axes.plot(days, middle, marker="o", markersize=4, label="difference")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.axhline(effect, color="dimgrey", linewidth=1, linestyle="--", label="minimum effect")
    axes.axhline(-effect, color="dimgrey", linewidth=1, linestyle="--")
    axes.set_xlim(0, max(days) * 1.05 or 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("days since it began")
    axes.set_ylabel("challenger - champion")
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    png = BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()
