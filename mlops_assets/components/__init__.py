"""KINDS: the three component types; a YAML file becomes Dagster definitions.

Add here: a kind of file that users write. Keep out: what the assets do (`assets/`) and when they run (`automation/`).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_assets.components.kinds import FeatureView, Ingestion, ModelLifecycle

__all__ = ["FeatureView", "Ingestion", "ModelLifecycle"]


def __getattr__(name: str) -> object:
    """Import a kind when it is asked for: whoever only reads files (`catalog.py`) does not wait for dagster."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mlops_assets.components import kinds

    return getattr(kinds, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
