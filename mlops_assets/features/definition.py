"""What the vectors of one model are made of: its spine, its views and its request, with their files read.

Add here: what training, scoring and the leakage check all need to know. Keep out: data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlops_assets.features.request import Request, read_request
from mlops_assets.features.spec import OUTCOME, definition_hash, read_sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mlops_assets.features.spec import FeatureViewSpec, RequestSpec, SpineSpec

LabelType = Literal["double", "varchar"]


@dataclass(frozen=True)
class View:
    """A feature view with the text of its query."""

    spec: FeatureViewSpec
    sql: str

    @property
    def definition(self) -> str:
        """Return the hash of what decides its rows."""
        return definition_hash(self.spec, self.sql)


@dataclass(frozen=True)
class VectorDefinition:
    """What the vectors of one model are made of.

    Attributes:
        spine: One row per prediction, by the query `spine_sql`.
        views: The views that `features` names.
        features: View features as `<view>:<feature>`, in the model's order.
        request: What a caller sends, and the features made of it.
        window_column: Column of the spine that decides to which window a row belongs.
        label_type: DuckDB's type of labels: `double`, or `varchar` where they are names of classes.
    """

    spine: SpineSpec
    spine_sql: str
    views: tuple[View, ...]
    features: tuple[str, ...]
    request: Request
    window_column: str
    label_type: LabelType = "double"

    @property
    def spine_definition(self) -> str:
        """Return the hash of what decides the rows of the spine."""
        return definition_hash(self.spine, self.spine_sql)

    @property
    def spine_columns(self) -> list[str]:
        """Return the columns that the spine's query must give."""
        entities = [column for view in self.views for column in view.spec.entity]
        return list(dict.fromkeys([*self.spine.keys, *entities, *self.request.inputs, self.window_column, *OUTCOME]))

    @property
    def spine_types(self) -> dict[str, str]:
        """Return DuckDB's types of the columns of the spine that are cast."""
        return {"prediction_time": "timestamptz", "label": self.label_type, "label_known_at": "timestamptz"}

    def features_of(self, view: View) -> tuple[str, ...]:
        """Return the features that the model takes from a view."""
        references = (reference.split(":") for reference in self.features)
        return tuple(feature for name, feature in references if name == view.spec.name)


def read_definition(
    spine: SpineSpec,
    *,
    features: Sequence[str],
    views: Iterable[tuple[FeatureViewSpec, Path]],
    request: RequestSpec,
    base: Path,
    window_column: str,
    label_type: LabelType = "double",
) -> VectorDefinition:
    """Return a definition with the files of its queries and its request function read.

    Args:
        views: The specs of the views that `features` names, each with the folder of its YAML.
        base: Folder of the model's YAML.

    Raises:
        SqlFileMissing: A query names a file that does not exist.
        RequestFileUnreadable: The request function's file is missing or does not run.
    """
    return VectorDefinition(
        spine=spine,
        spine_sql=read_sql(spine.sql, base=base),
        views=tuple(View(spec, read_sql(spec.sql, base=folder)) for spec, folder in views),
        features=tuple(features),
        request=read_request(request, base=base),
        window_column=window_column,
        label_type=label_type,
    )
