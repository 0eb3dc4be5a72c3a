"""The point-in-time join in SQL that every warehouse has: `UNION ALL`, two window functions and an equality join.

The rows of a view are numbered per entity by `(event_timestamp, known_at)`, so "the greatest of those that can be used" is the
greatest number that arrived before the prediction. Add here: nothing that is not in each dialect of `warehouse.py`; no ASOF,
QUALIFY, RANGE, LATERAL or max_by. None of the ordered columns is null; `nulls first` is what BigQuery can say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from mlops_assets.lake.engine import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mlops_assets.features.spec import FeatureViewSpec


@dataclass(frozen=True)
class Source:
    """A view to take features from.

    Attributes:
        relation: Its table, as SQL.
        features: The columns to take.
    """

    relation: str
    spec: FeatureViewSpec
    features: tuple[str, ...]


@dataclass(frozen=True)
class _Names:
    """Names for what the query adds, none of them a column of a person."""

    usable: str
    place: str
    found: str
    is_spine: str

    @classmethod
    def beside(cls, taken: Collection[str]) -> _Names:
        names = ("usable_at", "place", "place_found", "is_spine")
        return cls(*(quoted(_free(name, {column.lower() for column in taken})) for name in names))


def portable_query(spine: str, columns: Sequence[str], views: Sequence[Source], *, before: Sequence[str] = ()) -> str:
    """Return one query that gives `columns` of the spine and the features of the views, one row for each row of the spine.

    Args:
        spine: Its table, as SQL; has `columns`, which include `prediction_time` and the entity of every view.
        before: CTEs that `spine` and the views need.
    """
    names = _Names.beside([*columns, *(c for view in views for c in view.spec.columns)])
    steps, kept, table = list(before), list(columns), spine
    for view in views:
        steps += _steps(table, kept, view, names)
        kept, table = [*kept, *view.features], quoted(f"with_{view.spec.name}")
    ctes = ",\n".join(steps)
    return f"with {ctes}\nselect {_list(kept)} from {table}"


def _steps(table: str, kept: Sequence[str], view: Source, names: _Names) -> list[str]:
    """Return the CTEs that add the features of one view to `table`."""
    entity = view.spec.entity
    rows, timeline, search, joined = (
        quoted(f"{step}_{view.spec.name}") for step in ("rows", "timeline", "search", "with")
    )
    asked = ", ".join(f"s.{quoted(name)}" for name in kept)
    arrived = ", ".join(quoted(name) if name in entity else "null" for name in kept)
    same = " and ".join(f"s.{quoted(column)} = r.{quoted(column)}" for column in entity)
    return [
        f"""{rows} as (
  select {_list([*entity, *view.features, "event_timestamp"])},
    case when known_at > event_timestamp then known_at else event_timestamp end as {names.usable},
    row_number() over (partition by {_list(entity)} order by event_timestamp nulls first, known_at nulls first) as {names.place}
  from {view.relation}
)""",
        f"""{timeline} as (
  select {asked}, s.prediction_time as {names.usable}, 1 as {names.is_spine}, cast(null as bigint) as {names.place}
  from {table} as s
  union all
  select {arrived}, {names.usable}, 0, {names.place} from {rows}
)""",
        f"""{search} as (
  select {_list(kept)}, {names.is_spine}, max({names.place}) over (
    partition by {_list(entity)} order by {names.usable} nulls first, {names.is_spine} nulls first
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  ) as {names.found}
  from {timeline}
)""",
        f"""{joined} as (
  select {asked}, {", ".join(f"r.{quoted(name)}" for name in view.features)}
  from {search} as s
  left join {rows} as r on {same} and s.{names.found} = r.{names.place}{_fresh(view.spec.ttl_days)}
  where s.{names.is_spine} = 1
)""",
    ]


def _fresh(ttl_days: float | None) -> str:
    """Return the condition of a ttl; in seconds, for a day is not always 24 hours where the session has a time zone."""
    if ttl_days is None:
        return ""
    micros = timedelta(days=ttl_days) // timedelta(microseconds=1)
    length = f"'{micros // 1_000_000}' second" if micros % 1_000_000 == 0 else f"'{micros}' microsecond"
    return f"\n    and r.event_timestamp >= s.prediction_time - interval {length}"


def _free(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(quoted, names))
