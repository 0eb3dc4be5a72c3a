"""The immutable training set, and the blocking search for values from the future in it."""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.binding import AS_OF, TRAINING_SET
from mlops_assets.assets.contract_checks import raw_key
from mlops_assets.assets.metadata import table
from mlops_assets.assets.model import Model
from mlops_assets.features.spec import definition_hash, read_sql
from mlops_assets.resources.places import LakeResource, MachineResource

if TYPE_CHECKING:
    from mlops_assets.features.training_set import SavedTrainingSet, TrainingSet

NO_LEAKAGE = "no_leakage"


def training_set_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/training_set`: labelled rows with the features as they were known, by content address."""
    key = model.key("training_set")

    @dg.asset(
        key=key,
        deps=[raw_key(model.table), *(dg.AssetKey(["features", view]) for view in model.views)],
        check_specs=[
            dg.AssetCheckSpec(
                NO_LEAKAGE,
                asset=key,
                blocking=True,
                description="Rows computed again from tables cut at their prediction time are the same.",
            )
        ],
        code_version=_definition(model),
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"parquet"},
        description="Labelled rows up to `as_of` less the label timeout, without held windows. Never changed.",
    )
    def training_set(
        context: dg.AssetExecutionContext, lake: LakeResource, machine: MachineResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        from mlops_assets.features.leakage import check_leakage
        from mlops_assets.features.training_set import build_training_set, save
        from mlops_assets.retraining.held import held_windows

        definition = model.definition()
        built = build_training_set(
            definition,
            lake=lake.root,
            as_of=as_of(context, model, lake=lake.root, now=machine.clock().now()),
            held=[held.window for held in held_windows(lake.state(), model.name)],
            window_days=model.spec.training.window_days,
        )
        saved = save(built, lake.root, model.name)
        yield dg.MaterializeResult(metadata=_metadata(built, saved), data_version=dg.DataVersion(saved.sha256))
        leakage = check_leakage(
            built,
            definition,
            lake=lake.root,
            known_at=model.known_at(),
            samples=model.spec.leakage_check.samples,
            seed=model.spec.training.seed,
        )
        yield dg.AssetCheckResult(
            check_name=NO_LEAKAGE,
            passed=leakage.passed,
            description="; ".join(map(str, leakage.findings)) or None,
            metadata={"checked_rows": leakage.checked_rows, "times": [time.isoformat() for time in leakage.times]},
        )

    return training_set


def _definition(model: Model) -> str:
    """Return the hash of what decides the rows, the queries of the views included: if one changes, the set is stale."""
    spine, request = model.spec.spine, model.spec.request
    file = model.folder / request.file if request.file else None
    parts = [
        definition_hash(spine, read_sql(spine.sql, base=model.folder)),
        *(definition_hash(view.spec, read_sql(view.spec.sql, base=view.folder)) for view in model.views.values()),
        [
            model.spec.task,
            spine.label_timeout_days,
            model.spec.training.window_days,
            model.spec.features,
            request.inputs,
        ],
        file.read_text(encoding="utf-8") if file and file.is_file() else None,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _metadata(built: "TrainingSet", saved: "SavedTrainingSet") -> dict[str, Any]:
    manifest = built.manifest
    return {
        TRAINING_SET: saved.uri,
        "dagster/row_count": manifest.rows,
        "dagster/uri": saved.uri,
        "sha256": saved.sha256,
        "as_of": manifest.as_of.isoformat(),
        "pending": manifest.labels.pending,
        "censored": manifest.labels.censored,
        "held_rows": manifest.labels.held,
        "held_windows": ", ".join(window.key for window in manifest.held_windows),
        "sources": table(("raw table", "Delta version"), sorted(manifest.sources.items())),
        "features": table(("feature", "kind"), list(manifest.features.items())),
    }


def as_of(context: dg.AssetExecutionContext, model: Model, *, lake: str, now: datetime) -> datetime:
    """Return the data time of a retraining: the run's tag, else the end of the newest published window."""
    from mlops_assets.contract.verdict import last_published

    tag = context.run.tags.get(AS_OF)
    if tag:
        return datetime.fromisoformat(tag)
    source, name = model.table.split("/")
    return last_published(lake, source, name, model.partitions.windows(now)).end
