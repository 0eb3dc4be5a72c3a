"""The table that the demo ends with, and what to open next."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from mlops_assets.cli.demo.comparison import Aucs
from mlops_assets.cli.demo.story import Rolled, Week

STYLES = {"retrain": "yellow", "investigate": "red"}
PHASES = {"promoted": "green", "rolled back": "red"}


def print_timeline(console: Console, weeks: Sequence[Week], aucs: Sequence[Aucs]) -> None:
    """Print one line a week, then the means."""
    table = Table(title="What happened, week by week", title_justify="left", expand=True)
    for name in ("week", "drift"):
        table.add_column(name, no_wrap=True)
    table.add_column("why", ratio=1, min_width=15, overflow="fold")  # with this the table fits 80 columns
    table.add_column("action", max_width=10)
    for name in ("by", "AUC", "of v1"):
        table.add_column(name, justify="right", no_wrap=True)
    for week, auc in zip(weeks, aucs, strict=True):
        table.add_row(
            week.window,
            week.decision,
            _why(week),
            week.action,
            f"v{week.version}",
            _number(auc.served),
            _number(auc.first),
            style=STYLES.get(week.decision),
        )
    console.print(table)
    console.print(_summary(aucs))


def print_rollouts(console: Console, rollouts: Sequence[Rolled]) -> None:
    """Print how each version came to traffic, or did not."""
    table = Table(title="\nHow new versions came to traffic, or did not", title_justify="left", expand=True)
    for name in ("week", "version", "steps"):
        table.add_column(name, no_wrap=True)
    table.add_column("end", max_width=10)
    table.add_column("why", ratio=1, overflow="fold")
    for one in rollouts:
        style = PHASES.get(one.phase)
        table.add_row(one.window, f"v{one.version}", one.steps, one.phase, one.why, style=style)
    console.print(table)


def print_next(console: Console, *, minutes: float) -> None:
    """Print how long it took and what to open."""
    console.print(
        f"\nTook {minutes:.1f} minutes. Next: [bold]make ui[/bold], then open "
        "http://127.0.0.1:3000 (the asset graph, the checks, every run above), http://127.0.0.1:8080 (what is served) "
        "and http://127.0.0.1:5000 (MLflow)."
    )


def _why(week: Week) -> str:
    """Return the first reason of a week in which something is due; the drift report has them all."""
    return "" if week.decision == "hold" else week.reason.split("; ")[0]


def _summary(aucs: Sequence[Aucs]) -> str:
    both = [(auc.served, auc.first) for auc in aucs if auc.served is not None and auc.first is not None]
    if not both:
        return "No week has both classes labelled yet."
    served, first = (sum(values) / len(both) for values in zip(*both, strict=True))
    return f"Mean weekly AUC: {served:.4f} served, {first:.4f} never retrained, over {len(both)} weeks."


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
