"""A model with its references resolved: everything that its assets need to know when they are built."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.components.catalog import Catalog
from mlops_assets.components.schema import ModelSpec
from mlops_assets.contract.partitions import PartitionsSpec
from mlops_assets.experiment.spec import ExperimentSpec
from mlops_assets.features.spec import FeatureViewSpec
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.rollout.spec import RolloutSpec

if TYPE_CHECKING:
    from mlops_assets.contract.spec import KnownAtSpec
    from mlops_assets.features.definition import VectorDefinition


@dataclass(frozen=True)
class View:
    """One feature view that a model reads, and the folder that its SQL path counts from."""

    spec: FeatureViewSpec
    folder: Path


@dataclass(frozen=True)
class Model:
    """One model.

    Attributes:
        spec: What the file says.
        folder: Folder of the file; paths in it count from here.
        table: `source/table` whose windows cut the spine.
        partitions: Those windows.
        views: The views it reads, by name.
        ingestions: The sources that its spine and views read, by name.
        rollout: The steps to full traffic, with the columns of `assign_by` written out.
        experiment: How versions are compared, with the columns of `unit` written out.
    """

    spec: ModelSpec
    folder: Path
    table: str
    partitions: PartitionsSpec
    views: Mapping[str, View]
    ingestions: Mapping[str, IngestionSpec]
    rollout: RolloutSpec | None
    experiment: ExperimentSpec | None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def label_timeout(self) -> timedelta:
        return timedelta(days=self.spec.spine.label_timeout_days)

    @property
    def exogenous(self) -> frozenset[str]:
        """Features whose drift informs only."""
        features = {reference.split(":")[1]: reference.split(":")[0] for reference in self.spec.features}
        from_views = {name for name, view in features.items() if self.views[view].spec.features[name].exogenous}
        return frozenset(from_views | set(self.spec.monitoring.exogenous))

    def definition(self) -> "VectorDefinition":
        """Read the queries and the request function: what the model's vectors are made of."""
        from mlops_assets.features.definition import read_definition

        return read_definition(
            self.spec.spine,
            features=self.spec.features,
            views=[(view.spec, view.folder) for view in self.views.values()],
            request=self.spec.request,
            base=self.folder,
            window_column=self.partitions.column,
            label_type="varchar" if self.spec.task == "multiclass" else "double",
        )

    def known_at(self) -> "dict[str, KnownAtSpec | None]":
        """Return when the cells of each `source/table` become known, corrections included."""
        from mlops_assets.contract.known_at import effective

        return {
            f"{source}/{name}": effective(table)
            for source, ingestion in self.ingestions.items()
            for name, table in ingestion.tables.items()
        }

    def key(self, asset: str) -> dg.AssetKey:
        return dg.AssetKey([self.name, asset])


def resolve_model(catalog: Catalog, name: str) -> Model:
    """Return a model with its references resolved.

    Raises:
        UnknownDefinition: The model, one of its views or one of their sources does not load.
    """
    entry = catalog.model(name)
    spec = entry.spec
    table, partitions = catalog.partitions_of(spec)
    views = {view: View(catalog.view(view).spec, catalog.view(view).folder) for view in spec.views}
    sources = [spec.spine.sources, *(view.spec.sources for view in views.values())]
    names = {reference.split("/")[0] for references in sources for reference in references.values()}
    return Model(
        spec=spec,
        folder=entry.folder,
        table=table,
        partitions=partitions,
        views=views,
        ingestions={source: catalog.ingestion(source).spec for source in sorted(names)},
        rollout=catalog.rollout_of(spec),
        experiment=catalog.experiment_of(spec),
    )
