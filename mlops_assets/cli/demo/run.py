"""Play the story: train on three months, then week by week ingest, score, watch, and let the sensor retrain."""

import os
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from mlops_assets.assets.binding import LAUNCHED_AT, REASON, VERDICT
from mlops_assets.assets.binding import MODEL as MODEL_TAG
from mlops_assets.cli.demo.comparison import compare_weeks
from mlops_assets.cli.demo.replay import Replay, metadata_of
from mlops_assets.cli.demo.rollouts import Rollouts
from mlops_assets.cli.demo.story import (
    FIRST_SERVED_WEEK,
    FIRST_WEEK,
    MODEL,
    SOURCES,
    Progress,
    Week,
    served_weeks,
    switch_fault_on,
)
from mlops_assets.cli.demo.timeline import print_next, print_rollouts, print_timeline
from mlops_assets.cli.services import interruptible
from mlops_assets.clock import CLOCK_FILE, SimulatedClock
from mlops_assets.settings import Settings, load_settings


def run_demo(*, weeks: int, restart: bool) -> None:
    """Play the demo, or go on with one that was interrupted.

    Args:
        weeks: How many weeks after March to replay.
        restart: Put an earlier demo aside and begin again.
    """
    from mlops_assets.resources.instance import open_instance

    settings, console, started = load_settings(), Console(), time.monotonic()
    if restart:
        console.print(f"An earlier state is in {put_aside(settings.home)}.")
    progress = Progress.read(settings.home)
    switch_fault_on()
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    with interruptible(), open_instance(settings) as instance:
        _play(settings, instance, progress, weeks=weeks, console=console)
    played = progress.weeks[:weeks]
    aucs = compare_weeks(settings, [week.window for week in played])
    print_timeline(console, played, aucs)
    print_rollouts(console, [*progress.rollouts, *([progress.mishap] if progress.mishap else [])])
    print_next(console, minutes=(time.monotonic() - started) / 60)


def _play(
    settings: Settings, instance: dg.DagsterInstance, progress: Progress, *, weeks: int, console: Console
) -> None:
    from mlops_assets.assets.model import resolve_model
    from mlops_assets.components.catalog import read_catalog
    from mlops_assets.definitions import DEFS, build_definitions

    replay = Replay(build_definitions(strict=True), instance, SimulatedClock(settings.home / CLOCK_FILE))
    rollouts = Rollouts(replay, settings, resolve_model(read_catalog(DEFS), MODEL))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console) as bar:
        if not progress.trained:
            _train_first(replay, bar)
            progress.trained = True
            progress.write(settings.home)
        task = bar.add_task("Replaying weeks", total=weeks, completed=len(progress.weeks))
        for day in served_weeks(weeks)[len(progress.weeks) :]:
            bar.update(task, description=f"Week of {day}: ingest, score, watch")
            week = _replay_week(replay, day, views=rollouts.model.views)
            if rollouts.is_under_way:
                bar.update(task, description=f"Week of {day}: a new version is rolled out")
                progress.rollouts.append(rollouts.play(week.window))
                week.action = f"retrained: {progress.rollouts[-1].phase}"
            progress.weeks.append(week)
            progress.write(settings.home)
            bar.advance(task)
        if progress.mishap is None:
            bar.update(task, description="A wrong version is rolled out")
            progress.mishap = rollouts.play_mishap(progress.weeks[-1].window)
            progress.write(settings.home)


def _train_first(replay: Replay, bar: Bar) -> None:
    """Ingest January to March, then train, judge, register and deploy the first version."""
    now = _midnight(FIRST_SERVED_WEEK)
    replay.clock.set(now)
    last = FIRST_SERVED_WEEK - timedelta(weeks=1)
    steps = {
        "Ingesting planes": lambda: replay.run(f"{SOURCES['planes']}_ingest"),
        "Ingesting January to March": lambda: replay.run_range(
            f"{SOURCES['flights']}_ingest", first=str(FIRST_WEEK), last=str(last)
        ),
        "Computing features": lambda: replay.run("features_refresh"),
        "Training, judging, deploying": lambda: replay.run(
            f"{MODEL}_retrain",
            tags={MODEL_TAG: MODEL, REASON: "first version", LAUNCHED_AT: now.isoformat()},
        ),
    }
    task = bar.add_task("", total=len(steps))
    for description, step in steps.items():
        bar.update(task, description=description)
        step()
        bar.advance(task)


def _replay_week(replay: Replay, day: date, *, views: Iterable[str]) -> Week:
    """Ingest, score and watch one week, look again at the labels of the week before, and let the sensor act."""
    window, before = str(day), str(day - timedelta(weeks=1))
    replay.clock.set(_midnight(day + timedelta(weeks=1)))
    replay.run(f"{SOURCES['flights']}_ingest", partition=window)
    replay.run("features_refresh", only=[dg.AssetKey(["features", view]) for view in views])
    scored = replay.run(f"{MODEL}_score", partition=window)
    watched = replay.run(f"{MODEL}_monitor", partition=window)
    if day > FIRST_SERVED_WEEK:
        replay.run(f"{MODEL}_monitor", partition=before, only=[dg.AssetKey([MODEL, "quality_report"])])
    runs = replay.tick("retraining")
    return Week(
        window=window,
        version=int(metadata_of(scored, "predictions")["version"]),
        decision=str(metadata_of(watched, "drift_report")["decision"]),
        reason=str(metadata_of(watched, "drift_report")["reasons"]).removeprefix("- ").replace("\n- ", "; "),
        action="; ".join(_action(replay, run) for run in runs),
    )


def _action(replay: Replay, result: dg.ExecuteInProcessResult) -> str:
    run = replay.instance.get_run_by_id(result.run_id)
    return f"retrained: {run.tags.get(VERDICT, 'failed') if run else 'failed'}"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def put_aside(home: Path) -> Path:
    """Rename the home of an earlier demo, if there is one, so that nothing is lost; return where it is now."""
    aside = home.with_name(f"{home.name}-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    if home.exists():
        home.rename(aside)
    return aside
