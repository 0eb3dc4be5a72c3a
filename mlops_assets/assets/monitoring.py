"""What each scored window looks like, whether it drifted, and how good its scores were once labels are in."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import dagster as dg

from mlops_assets.assets.metadata import link, numbers, picture
from mlops_assets.assets.model import Model
from mlops_assets.assets.partitions import partitions_def, window_of
from mlops_assets.resources.places import LakeResource, MachineResource

if TYPE_CHECKING:
    from mlops_assets.monitoring.quality import Quality
    from mlops_assets.retraining.watch import Watched

Results = Iterator[dg.MaterializeResult | dg.AssetCheckResult]
NO_FAULT, NO_DRIFT = "no_fault", "no_drift"
DRIFT_CHECKS = {
    NO_FAULT: "No feature changed suddenly, lost its values or met categories never seen.",
    NO_DRIFT: "Every feature and the scores are within their own history.",
}


class ReportConfig(dg.Config):
    """When the Evidently page is rendered; it costs about 9 CPU seconds."""

    report: Literal["as_declared", "on_event", "always", "never"] = "as_declared"


def profile_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/profile`: counts of one window on the training bins of the version that scored it."""

    @dg.asset(
        key=model.key("profile"),
        deps=[model.key("predictions")],
        partitions_def=partitions_def(model.partitions),
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"profile"},
        description="Counts of every feature and of the scores on fixed bins: kilobytes that stand for the window.",
    )
    def profile(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
        from mlops_assets.monitoring.store import MonitoringStore
        from mlops_assets.retraining.watch import profile_window

        window, store = window_of(context), MonitoringStore(lake.root, model.name)
        kept = profile_window(store, lake.state(), window)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": kept.profile.rows,
                "dagster/uri": store.uri("profiles", window.key),
                "version": kept.version,
            }
        )

    return profile


def drift_report_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/drift_report`: the window against its past, triaged; opens an event when something is due."""
    windows, key = partitions_def(model.partitions), model.key("drift_report")

    @dg.asset(
        key=key,
        deps=[model.key("profile")],
        partitions_def=windows,
        check_specs=[
            dg.AssetCheckSpec(name, asset=key, partitions_def=windows, description=description)
            for name, description in DRIFT_CHECKS.items()
        ],
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"evidently"},
        description="Distances of every feature and of the scores to earlier windows, against their own history.",
    )
    def drift_report(
        context: dg.AssetExecutionContext, config: ReportConfig, lake: LakeResource, machine: MachineResource
    ) -> Results:
        from mlops_assets.monitoring.store import MonitoringStore
        from mlops_assets.retraining.watch import watch_window

        watched = watch_window(
            MonitoringStore(lake.root, model.name),
            lake.state(),
            window_of(context),
            spec=model.spec.monitoring,
            exogenous=model.exogenous,
            render=model.spec.monitoring.report if config.report == "as_declared" else config.report,
            now=machine.clock().now(),
        )
        yield dg.MaterializeResult(metadata=_drift_metadata(watched))
        yield from _drift_checks(watched)

    return drift_report


def quality_report_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/quality_report`: the labels that are known by now, against the scores of the window."""

    @dg.asset(
        key=model.key("quality_report"),
        deps=[model.key("predictions")],
        partitions_def=partitions_def(model.partitions),
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"quality"},
        description="Metrics on the labelled rows; pending and censored labels are counted, never imputed.",
    )
    def quality_report(
        context: dg.AssetExecutionContext, lake: LakeResource, machine: MachineResource
    ) -> dg.MaterializeResult:
        from mlops_assets.monitoring.quality import assess_quality
        from mlops_assets.monitoring.store import MonitoringStore
        from mlops_assets.predictions.labelled import classes_of_versions, labelled_window

        window = window_of(context)
        labelled = labelled_window(
            lake.root,
            model.name,
            model.definition(),
            window=window,
            label_timeout=model.label_timeout,
            now=machine.clock().now(),
        )
        classes = classes_of_versions(lake.state(), model.name, labelled) if model.spec.task == "multiclass" else None
        quality = assess_quality(labelled, task=model.spec.task, window=window.key, classes=classes)
        uri = MonitoringStore(lake.root, model.name).write("quality", window.key, quality)
        return dg.MaterializeResult(metadata=_quality_metadata(quality, uri))

    return quality_report


def _drift_metadata(watched: "Watched") -> dict[str, dg.MetadataValue]:
    from mlops_assets.monitoring.picture import drift_chart, drift_table

    psi = {channel.name: channel.psi for channel in watched.report.channels}
    found = {
        "dagster/uri": dg.MetadataValue.text(watched.report_uri),
        "state": dg.MetadataValue.text(watched.report.state),
        "decision": dg.MetadataValue.text(type(watched.decision).__name__.lower()),
        "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in watched.decision.reasons)),
        "drift": dg.MetadataValue.md(drift_table(watched.report)),
        "history": picture(drift_chart(watched.recent), title="PSI over its own limit"),
        **numbers(psi, prefix="psi/"),
    }
    if watched.event is not None:
        found["event"] = dg.MetadataValue.text(watched.event.id)
    if watched.page_uri is not None:
        found["evidently"] = link(watched.page_uri)
    return found


def _drift_checks(watched: "Watched") -> Iterator[dg.AssetCheckResult]:
    from mlops_assets.retraining.triage import Investigate

    drifted = [channel.name for channel in watched.report.channels if channel.alarms]
    reasons = "; ".join(watched.decision.reasons)
    faulty = isinstance(watched.decision, Investigate)
    unjudged = f"not judged: {reasons}" if watched.report.state == "insufficient" else None
    left = f"left their history: {', '.join(drifted)}" if drifted else unjudged
    yield _warning(NO_FAULT, passed=not faulty, description=reasons if faulty else unjudged)
    yield _warning(NO_DRIFT, passed=not drifted, description=left)


def _warning(name: str, *, passed: bool, description: str | None) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name, passed=passed, severity=dg.AssetCheckSeverity.WARN, description=description
    )


def _quality_metadata(quality: "Quality", uri: str) -> dict[str, dg.MetadataValue]:
    means = {"score_mean": quality.overall.score_mean, "label_mean": quality.overall.label_mean}
    return {
        "dagster/row_count": dg.MetadataValue.int(quality.rows),
        "dagster/uri": dg.MetadataValue.text(uri),
        "labelled": dg.MetadataValue.int(quality.overall.labelled),
        "pending": dg.MetadataValue.int(quality.pending),
        "censored": dg.MetadataValue.int(quality.censored),
        "versions": dg.MetadataValue.text(", ".join(quality.by_version)),
        "notes": dg.MetadataValue.text("; ".join(quality.overall.notes)),
        **numbers({**quality.overall.metrics, **means}),
    }
