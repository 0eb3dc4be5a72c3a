"""The history of Feast's feature views as dlt resources, read through Feast's own offline store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError
from mlops_assets.ingestion.sources.files import place

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from mlops_assets.ingestion.source_spec import FeastSource
    from mlops_assets.ingestion.sources.reading import Reading
    from mlops_assets.lake.windows import Window

EVENT, CREATED = "event_timestamp", "created_timestamp"


class FeastMissing(MlopsError):
    """Feast is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "A source of type feast",
            found="no package `feast`",
            required="the extra `feast`",
            remedy='Install it: pip install "mlops-assets[feast]".',
        )


class NoFeastView(MlopsError):
    """The Feast repository has no such feature view."""

    def __init__(self, repo: str, view: str, found: list[str]) -> None:
        super().__init__(
            f"Feast repository {repo}, view {view}",
            found=f"the views {', '.join(found) or 'none'}",
            required="one of them",
            remedy="Correct `view`, or run `feast apply` there.",
        )


def feast_resources(source: FeastSource, reading: Reading) -> list[Any]:
    """Return a dlt resource for each table.

    Raises:
        FeastMissing: The extra is not installed.
        NoFeastView: A view is not registered.
    """
    try:
        from feast import FeatureStore  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]  an extra
    except ModuleNotFoundError as error:
        raise FeastMissing from error
    store = FeatureStore(repo_path=place(source.repo))
    return [_resource(store, name, _view(store, source, name), reading.window) for name in reading.tables]


def _view(store: Any, source: FeastSource, table: str) -> Any:
    from feast.errors import FeatureViewNotFoundException  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]  an extra

    wanted = source.tables[table].view
    try:
        return store.get_feature_view(wanted)
    except FeatureViewNotFoundException as error:
        raise NoFeastView(source.repo, wanted, [view.name for view in store.list_feature_views()]) from error


def _resource(store: Any, name: str, view: Any, window: Window | None) -> Any:
    import dlt

    def rows() -> Iterator[pa.Table]:
        yield _history(store, view, window)

    return dlt.resource(rows, name=name)


def _history(store: Any, view: Any, window: Window | None) -> pa.Table:
    """Return the rows of a view; Feast takes both ends of a span in, a window leaves its end out."""
    import pyarrow.compute as pc
    from feast.infra.offline_stores.offline_utils import get_offline_store_from_config  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]  an extra

    rows = view.batch_source
    raw = {mapped: name for name, mapped in rows.field_mapping.items()}
    columns = {raw.get(one.name, one.name): one.name for one in [*view.entity_columns, *view.features]}
    times = {rows.timestamp_field: EVENT} | (
        {rows.created_timestamp_column: CREATED} if rows.created_timestamp_column else {}
    )
    keys = [raw.get(one.name, one.name) for one in view.entity_columns]
    job = get_offline_store_from_config(store.config.offline_store).pull_all_from_table_or_query(
        config=store.config,
        data_source=rows,
        join_key_columns=keys,
        feature_name_columns=[name for name in columns if name not in keys],
        timestamp_field=rows.timestamp_field,
        created_timestamp_column=rows.created_timestamp_column or None,
        start_date=window.start if window else None,
        end_date=window.end if window else None,
    )
    named = columns | times
    found = job.to_arrow().select(list(named)).rename_columns(list(named.values()))
    for time in times.values():
        found = found.set_column(found.schema.get_field_index(time), time, _utc(found[time]))
    return found if window is None else found.filter(pc.field(EVENT) < window.end)


def _utc(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return times with their zone: what Feast keeps without one is UTC."""
    import pyarrow as pa

    return times.cast(pa.timestamp("us", times.type.tz)).cast(pa.timestamp("us", "UTC"))
