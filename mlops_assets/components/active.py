"""The catalogue that a component looks other files up in while its own is being built."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

import dagster as dg

from mlops_assets.components.catalog import Catalog, read_catalog

_active: ContextVar[Catalog | None] = ContextVar("catalog", default=None)


@contextmanager
def using(catalog: Catalog) -> Generator[None]:
    """Make `catalog` the one that components see inside the block."""
    token = _active.set(catalog)
    try:
        yield
    finally:
        _active.reset(token)


def catalog_for(context: dg.ComponentLoadContext) -> Catalog:
    """Return the active catalogue, else that of the tree being loaded (Dagster's own tools load without ours)."""
    return _active.get() or read_catalog(context.component_tree.defs_module_path)
