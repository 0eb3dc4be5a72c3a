"""What a server looks up for the requests of one model; it is saved with the model, which expects just that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.decoding import converted
from mlops_assets.features.compute import view_uri
from mlops_assets.features.online.schema import Schema, view_schema
from mlops_assets.lake import tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from mlops_assets.features.definition import VectorDefinition
    from mlops_assets.features.training_set import Manifest

Fallback = float | str | None


class LookupPlan(msgspec.Struct, frozen=True):
    """What is looked up, and for whom.

    Attributes:
        views: The schemas of the views that are online.
        features: What the model takes of them, as `<view>:<feature>`.
        columns: Arrow types of the columns that may come with a request besides features and inputs: the entities of every
            view and the keys of the spine.
        fallback: By feature, what stands in for a value that cannot be looked up in time; null otherwise.
    """

    views: tuple[Schema, ...] = ()
    features: tuple[str, ...] = ()
    columns: dict[str, str] = {}
    fallback: dict[str, Fallback] = {}


def plan_of(
    definition: VectorDefinition,
    training_set: Manifest,
    spine: pa.Schema,
    *,
    lake: str,
    fallback: Mapping[str, Fallback],
) -> LookupPlan:
    """Return the plan of a model.

    Args:
        training_set: What it was trained on: rows of another definition of a view are not for it.
        spine: Columns of the training set.

    Raises:
        UnstorableType: An online row cannot hold a column of a view that is online.
        TableNotFound: The version of a view that was trained on is gone.
    """
    online = [view for view in definition.views if view.spec.online and view.spec.name in training_set.views]
    names = {view.spec.name for view in online}
    entities = [name for view in definition.views for name in view.spec.entity]
    return LookupPlan(
        views=tuple(
            msgspec.structs.replace(
                view_schema(view, tables.snapshot(view_uri(lake, view.spec.name), read.version).schema),
                definition=read.definition,
            )
            for view in online
            for read in [training_set.views[view.spec.name]]
        ),
        features=tuple(one for one in definition.features if one.partition(":")[0] in names),
        columns={name: str(spine.field(name).type) for name in dict.fromkeys([*entities, *definition.spine.keys])},
        fallback=dict(fallback),
    )


def to_json(plan: LookupPlan) -> dict[str, Any]:
    """Return the plan as a manifest holds it."""
    return msgspec.to_builtins(plan)


def from_json(value: Mapping[str, Any]) -> LookupPlan:
    """Return the plan of a manifest; a model that was saved without one looks nothing up."""
    return converted(value, LookupPlan)
