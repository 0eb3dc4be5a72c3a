"""KINDS: the three component types; a YAML file becomes Dagster definitions.

Add here: a kind of file that users write. Keep out: what the assets do (`assets/`) and when they run (`automation/`).
"""

from mlops_assets.components.kinds import FeatureView, Ingestion, ModelLifecycle

__all__ = ["FeatureView", "Ingestion", "ModelLifecycle"]
