"""What definition files say about each other: the tables of a query, the features of a model, the windows of a spine.

Add here: rules that need more than one file. Keep out: rules of one file (the specs) and anything that needs data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.contract.names import is_current, table_of
from mlops_assets.evaluation.misfits import gate_misfits
from mlops_assets.experiment.misfits import experiment_misfits
from mlops_assets.predictions.score import RESERVED
from mlops_assets.training.misfits import misfits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlops_assets.components.catalog import Catalog, Entry
    from mlops_assets.components.findings import Finding
    from mlops_assets.components.schema import ModelSpec


def broken_references(catalog: Catalog) -> Iterator[Finding]:
    """Yield what one file says about another that does not hold."""
    for view in catalog.views.values():
        yield from _tables(view, view.spec.sources, ("sources",), catalog)
    for model in catalog.models.values():
        yield from _tables(model, model.spec.spine.sources, ("spine", "sources"), catalog)
        yield from _missing_features(model, catalog)
        yield from _unpartitioned_spine(model, catalog)
        yield from _reserved_columns(model)
        yield from _training_misfits(model)
        yield from _gate_misfits(model)
        yield from _unknown_fallbacks(model, catalog)
        yield from _unknown_units(model, catalog)
        yield from _labels_without_log(model)
        yield from _experiment_misfits(model, catalog)


def _tables(entry: Entry, sources: Mapping[str, str], place: tuple[str, ...], catalog: Catalog) -> Iterator[Finding]:
    known = {f"{name}/{table}" for name, ingestion in catalog.ingestions.items() for table in ingestion.spec.tables}
    for alias, reference in sources.items():
        if table_of(reference) not in known:
            yield entry.finding(
                (*place, alias),
                found=repr(reference),
                required=f"one of {', '.join(sorted(known)) or 'the tables of an Ingestion file (none loads)'}",
                remedy="Correct the reference, or add the table to an Ingestion file.",
            )
        elif is_current(reference) and (mode := catalog.table(reference).publish) != "history":
            yield entry.finding(
                (*place, alias),
                found=f"{reference!r} of a table with `publish: {mode}`",
                required="a table with `publish: history`, which alone has more than the newest version of a row",
                remedy=f"Write `{table_of(reference)}`, or publish that table with history.",
            )


def _missing_features(model: Entry[ModelSpec], catalog: Catalog) -> Iterator[Finding]:
    known = [f"{name}:{feature}" for name, view in catalog.views.items() for feature in view.spec.features]
    seen: dict[str, str] = {}
    for position, reference in enumerate(model.spec.features):
        feature = reference.split(":")[1]
        if reference not in known:
            yield model.finding(
                ("features", position),
                found=repr(reference),
                required=f"one of {', '.join(sorted(known)) or 'the features of a FeatureView file (none loads)'}",
                remedy="Correct the reference, or add the feature to its view.",
            )
        elif feature in seen:
            yield model.finding(
                ("features", position),
                found=f"{reference!r} beside {seen[feature]!r}",
                required="feature names that differ within a model",
                remedy="Rename the feature in one of the views.",
            )
        seen[feature] = reference


def _unpartitioned_spine(model: Entry[ModelSpec], catalog: Catalog) -> Iterator[Finding]:
    sources = [reference.split("/")[0] for reference in model.spec.spine.sources.values()]
    specs = [catalog.ingestions[name].spec for name in sources if name in catalog.ingestions]
    if specs and all(spec.partitions is None for spec in specs):
        yield model.finding(
            ("spine", "sources"),
            found=f"only unpartitioned sources ({', '.join(sources)})",
            required="at least one source with `partitions:`, whose windows are scored and monitored",
            remedy="Add `partitions:` to the Ingestion file of the spine's table.",
        )


def _reserved_columns(model: Entry[ModelSpec]) -> Iterator[Finding]:
    """Yield names that scoring gives to columns of its own."""
    spec = model.spec
    named = [(("features", i), reference.split(":")[1]) for i, reference in enumerate(spec.features)]
    named += [(("spine", "keys", i), key) for i, key in enumerate(spec.spine.keys)]
    named += [(("request", "inputs", i), name) for i, name in enumerate(spec.request.inputs)]
    for place, name in named:
        if name in RESERVED:
            required = f"names other than {', '.join(RESERVED)}, which predictions have"
            yield model.finding(place, found=repr(name), required=required, remedy="Rename the column in its query.")


def _training_misfits(model: Entry[ModelSpec]) -> Iterator[Finding]:
    """Yield what `training` says that does not fit; a request function may make features that no file names."""
    spec, has_function = model.spec, model.spec.request.file is not None
    names = [reference.split(":")[1] for reference in spec.features] + ([] if has_function else spec.request.inputs)
    for misfit in misfits(spec.training, spec.task, dict.fromkeys(names), is_complete=not has_function):
        yield model.finding(
            ("training", *misfit.place), found=misfit.found, required=misfit.required, remedy=misfit.remedy
        )


def _gate_misfits(model: Entry[ModelSpec]) -> Iterator[Finding]:
    for misfit in gate_misfits(model.spec.gate, model.spec.task):
        yield model.finding(("gate", *misfit.place), found=misfit.found, required=misfit.required, remedy=misfit.remedy)


def _unknown_fallbacks(model: Entry[ModelSpec], catalog: Catalog) -> Iterator[Finding]:
    """Yield fallbacks of features that no server looks up."""
    references = [reference.split(":") for reference in model.spec.features]
    online = [name for view, name in references if view in catalog.views and catalog.views[view].spec.online]
    for name in model.spec.serving.fallback:
        if name not in online:
            yield model.finding(
                ("serving", "fallback", name),
                found=repr(name),
                required=f"a feature that is looked up: one of {', '.join(online) or '(no view of the model is online)'}",
                remedy="Correct the name, or set `online: true` in the file of its view.",
            )


def _unknown_units(model: Entry[ModelSpec], catalog: Catalog) -> Iterator[Finding]:
    """Yield columns that are to name the unit of a rollout, and that no request carries."""
    carried = _carried(model.spec, catalog)
    for position, column in enumerate(model.spec.rollout.assign_by if model.spec.rollout else ()):
        if column not in carried:
            yield model.finding(
                ("rollout", "assign_by", position),
                found=repr(column),
                required=f"a column that a request carries: one of {', '.join(carried)}",
                remedy="Name a request input, an entity of the model's views or a key of its spine.",
            )


def _experiment_misfits(model: Entry[ModelSpec], catalog: Catalog) -> Iterator[Finding]:
    spec = model.spec
    if spec.experiment is None:
        return
    carried, kept = _carried(spec, catalog), spec.prediction_log.retention_days
    for misfit in experiment_misfits(spec.experiment, spec.task, carried=carried, retention_days=kept):
        yield model.finding(
            ("experiment", *misfit.place), found=misfit.found, required=misfit.required, remedy=misfit.remedy
        )


def _carried(spec: ModelSpec, catalog: Catalog) -> list[str]:
    """Return the columns that a request carries."""
    entities = [column for name in spec.views if name in catalog.views for column in catalog.views[name].spec.entity]
    return list(dict.fromkeys([*spec.request.inputs, *entities, *spec.spine.keys]))


def _labels_without_log(model: Entry[ModelSpec]) -> Iterator[Finding]:
    """Yield a label metric of a rollout that would never see a label: labels are joined to the compacted log."""
    rollout = model.spec.rollout
    if rollout is not None and rollout.metrics.label is not None and model.spec.prediction_log.schedule is None:
        yield model.finding(
            ("rollout", "metrics", "label"),
            found="no `prediction_log.schedule`",
            required="one, because labels are joined to the log once it is compacted",
            remedy='Add for example `prediction_log: {schedule: "*/15 * * * *"}`.',
        )
