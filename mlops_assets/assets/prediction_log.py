"""What the servers logged, as a table: compacted, deduplicated, labelled, and replayed against the offline path."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.metadata import link, numbers, table
from mlops_assets.assets.model import Model
from mlops_assets.assets.skew import SEVERITY, skew_metadata
from mlops_assets.errors import MlopsError
from mlops_assets.resources.places import LakeResource, MachineResource

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.monitoring.quality import Quality
    from mlops_assets.predictions.log.compaction import Compacted, Reading
    from mlops_assets.predictions.log.labels import LabelRules
    from mlops_assets.predictions.log.summary import Summary

NO_TORN_LINES, NO_SKEW_SERVED = "no_torn_lines", "no_skew_served"
QUALITY_ROWS = 100_000


def prediction_log_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/prediction_log`."""
    key = model.key("prediction_log")

    @dg.asset(
        key=key,
        deps=[model.key("deployment")],
        check_specs=[
            dg.AssetCheckSpec(
                NO_TORN_LINES, asset=key, description="No writer died while it wrote; every line is ours."
            )
        ],
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"deltalake"},
        description="Every request that the servers of this machine answered, one row for each row of it, with its vector.",
    )
    def prediction_log(
        context: dg.AssetExecutionContext, lake: LakeResource, machine: MachineResource
    ) -> dg.MaterializeResult:
        from mlops_assets.predictions.log.compaction import compact
        from mlops_assets.predictions.log.segments import log_folder
        from mlops_assets.predictions.log.summary import summarise

        now, days = machine.clock().now(), model.spec.prediction_log.retention_days
        capture = log_folder(machine.folder, machine.env)
        keep_from = None if days is None else now - timedelta(days=days)
        done = compact(capture, lake.root, reading_of(model, lake), keep_from=keep_from)
        summary = summarise(lake.root, model.name, now=now)
        if summary is None:
            context.log.info(
                "%s: nothing is logged yet; a server that answers for it logs below %s", model.name, capture
            )
        found = {} if summary is None else {**_shown(summary, lake, model, now), **_quality(model, lake, summary, now)}
        return dg.MaterializeResult(metadata={**_counts(done), **found}, check_results=[_torn(done)])

    return prediction_log


def served_skew_check(model: Model) -> dg.AssetChecksDefinition:
    """Return `no_skew_served` on `<model>/prediction_log`."""
    spec = model.spec.skew_check

    @dg.asset_check(
        asset=model.key("prediction_log"),
        name=NO_SKEW_SERVED,
        blocking=spec.severity == "block",
        description="Served rows, computed again by today's offline path, are what the model saw.",
    )
    def no_skew_served(lake: LakeResource, machine: MachineResource) -> dg.AssetCheckResult:
        from mlops_assets.predictions.log.replay import check_served

        severity, seed, now = SEVERITY[spec.severity], model.spec.training.seed, machine.clock().now()
        try:
            skew = check_served(lake.root, model.name, model.definition(), now=now, samples=spec.samples, seed=seed)
        except MlopsError as error:
            return dg.AssetCheckResult(passed=False, severity=severity, description=f"Not replayed: {error}")
        if skew is None:
            return dg.AssetCheckResult(passed=True, severity=severity, description="No served row names its entities.")
        found = "; ".join(map(str, skew.findings)) or None
        metadata = skew_metadata(skew)
        return dg.AssetCheckResult(passed=skew.passed, severity=severity, description=found, metadata=metadata)

    return no_skew_served


def reading_of(model: Model, lake: LakeResource) -> "Reading":
    """Return how the lines of a model are read."""
    from mlops_assets.predictions.log.compaction import Reading
    from mlops_assets.predictions.log.versions import Versions
    from mlops_assets.serving.body import read_rows

    spec = model.spec
    entities = [column for view in model.views.values() for column in view.spec.entity]
    units = [*(model.rollout.assign_by if model.rollout else ()), *(spec.experiment.unit if spec.experiment else ())]
    text = dict.fromkeys([*spec.spine.keys, *entities, *units])
    return Reading(model.name, read_rows, Versions(lake.state(), model.name).kinds, tuple(text))


def label_rules(model: Model, lake: LakeResource) -> "LabelRules":
    """Return how the labels of a model come: from its spine, and from feedback."""
    from mlops_assets.features.sources import open_sources
    from mlops_assets.features.spine import read_spine
    from mlops_assets.lake.engine import connect
    from mlops_assets.predictions.log.labels import LabelRules

    definition = model.definition()

    def spine(start: "datetime", end: "datetime") -> Any:
        with connect() as con:
            open_sources(con, lake.root, definition.spine.sources)
            return read_spine(con, definition, column="prediction_time", start=start, end=end)

    return LabelRules(model.spec.task, model.label_timeout, tuple(definition.spine.keys), spine)


def _counts(done: "Compacted") -> dict[str, Any]:
    return {
        "rows_added": done.rows,
        "duplicates": done.duplicates,
        "torn_lines": done.torn,
        "foreign_lines": done.foreign,
        "expired_rows": done.expired,
        "labels_added": done.feedback,
        "segments": done.segments,
        "bytes": done.bytes,
    }


def _torn(done: "Compacted") -> dg.AssetCheckResult:
    found = f"{done.torn} torn, which nobody was told were written; {done.foreign} that are none of this model's"
    return dg.AssetCheckResult(
        check_name=NO_TORN_LINES,
        passed=not done.torn + done.foreign,
        severity=dg.AssetCheckSeverity.WARN,
        description=None if not done.torn + done.foreign else f"Lines passed over: {found}.",
    )


def _shown(summary: "Summary", lake: LakeResource, model: Model, now: "datetime") -> dict[str, Any]:
    from mlops_assets.predictions.log.table import log_uri

    header = ("version", "arm", "role", "rows", "requests", "failed rows", "p99 ms", "p99 ms in the arm")
    rows = [
        (one.version, one.variant, one.role, one.rows, one.requests, one.failures, one.p99_ms, one.arm_p99_ms)
        for one in summary.parts
    ]
    uri = log_uri(lake.root, model.name)
    return {
        "dagster/row_count": summary.rows,
        "dagster/uri": uri,
        "table": link(uri),
        f"on {summary.day}": table(header, rows),
        "newest_request": summary.newest.isoformat(),
        **numbers(
            {
                "age_seconds": (now - summary.newest).total_seconds(),
                "error_share": summary.error_share,
                "p99_ms": summary.p99_ms,
            }
        ),
    }


def _quality(model: Model, lake: LakeResource, summary: "Summary", now: "datetime") -> dict[str, Any]:
    """Measure what was served where its labels are in; a spine that cannot be read is said, and fails nothing."""
    from mlops_assets.monitoring.quality import assess_quality
    from mlops_assets.predictions.log.labels import labelled_log
    from mlops_assets.predictions.log.versions import Versions

    since = summary.newest - model.label_timeout - timedelta(days=1)
    try:
        rules = label_rules(model, lake)
        rows = labelled_log(lake.root, model.name, rules, now=now, since=since, at_most=QUALITY_ROWS)
    except MlopsError as error:
        return {"quality": f"not measured: {error}"}
    known = Versions(lake.state(), model.name)
    classes = {version: known.classes(version) for version in set(rows["model_version"].to_pylist())}
    multiclass = classes if model.spec.task == "multiclass" else None
    return _quality_table(assess_quality(rows, task=model.spec.task, window=summary.day, classes=multiclass))


def _quality_table(quality: "Quality") -> dict[str, Any]:
    names = list(quality.overall.metrics)
    rows = [
        (version, scores.labelled, *(scores.metrics[name] for name in names))
        for version, scores in {**quality.by_version, "all": quality.overall}.items()
    ]
    return {
        "quality": table(("version", "labelled", *names), rows),
        "labelled": quality.overall.labelled,
        "pending": quality.pending,
        "censored": quality.censored,
        **numbers(quality.overall.metrics, prefix="served/"),
    }
