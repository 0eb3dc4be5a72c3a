"""The three component types: each takes its validated spec and asks `assets/` and `automation/` for definitions.

Heavy factories are imported inside `build_defs`, so that asking for the list of kinds stays cheap.
"""

from typing import Any, ClassVar

import dagster as dg
from pydantic import BaseModel

from mlops_assets.components.active import catalog_for
from mlops_assets.components.scaffolding import TemplateScaffolder
from mlops_assets.components.schema import ModelSpec
from mlops_assets.features.spec import FeatureViewSpec
from mlops_assets.ingestion.source_spec import ExternalSource
from mlops_assets.ingestion.spec import IngestionSpec


class SpecComponent(dg.Component):
    """A component whose attributes are one pydantic model.

    The schema is plain pydantic rather than Dagster's `Resolvable`: that one turns every field into `T or str`, and one
    mistake into four errors without a line.
    """

    schema: ClassVar[type[BaseModel]]

    def __init__(self, spec: Any) -> None:
        self.spec = spec

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return cls.schema

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "SpecComponent":  # noqa: ARG003  Dagster's signature
        return cls(attributes)


@dg.scaffold_with(TemplateScaffolder)
class Ingestion(SpecComponent):
    """A source and its tables: what is read, when, and the contract that its rows must keep."""

    schema = IngestionSpec

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        return dg.ComponentTypeSpec(tags=["ingestion", "contract"], owners=["team:mlops"])

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002  Dagster's signature
        from mlops_assets.assets.external import external_assets
        from mlops_assets.assets.ingestion import ingestion_assets
        from mlops_assets.assets.reconciliation import reconciliation_asset
        from mlops_assets.automation.jobs import ingestion_automation

        is_external = isinstance(self.spec.source, ExternalSource)
        ours = [ingestion_assets, reconciliation_asset]
        assets = external_assets(self.spec) if is_external else [make(self.spec) for make in ours]
        return dg.Definitions.merge(dg.Definitions(assets=assets), ingestion_automation(self.spec))


@dg.scaffold_with(TemplateScaffolder)
class FeatureView(SpecComponent):
    """Features of one entity, computed by one SQL query and shared by any number of models."""

    schema = FeatureViewSpec

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        return dg.ComponentTypeSpec(tags=["features"], owners=["team:mlops"])

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        from mlops_assets.assets.features import feature_view_asset, tables_read
        from mlops_assets.assets.online_features import online_features_asset
        from mlops_assets.automation.jobs import feature_automation

        catalog = catalog_for(context)
        entry = catalog.view(self.spec.name)
        tables = tables_read(entry.spec, catalog)
        assets = [feature_view_asset(entry.spec, entry.folder, tables)]
        if entry.spec.online:
            assets.append(online_features_asset(entry.spec, entry.folder))
        return dg.Definitions.merge(dg.Definitions(assets=assets), feature_automation(entry.spec))


@dg.scaffold_with(TemplateScaffolder)
class ModelLifecycle(SpecComponent):
    """One model, from training set to traffic, watched and retrained."""

    schema = ModelSpec

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        return dg.ComponentTypeSpec(tags=["model"], owners=["team:mlops"])

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        from mlops_assets.assets.lifecycle import lifecycle_assets
        from mlops_assets.assets.model import resolve_model
        from mlops_assets.assets.prediction_log import served_skew_check
        from mlops_assets.assets.skew import skew_check
        from mlops_assets.automation.jobs import model_automation

        model = resolve_model(catalog_for(context), self.spec.name)
        assets = dg.Definitions(
            assets=lifecycle_assets(model), asset_checks=[skew_check(model), served_skew_check(model)]
        )
        return dg.Definitions.merge(assets, model_automation(model))
