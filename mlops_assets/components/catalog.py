"""Every definition file below one folder, read and checked together: what exists, and what is wrong with it.

Keep out: rules of one file (the specs), what files say about each other (`references.py`), and anything that needs data.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from mlops_assets.components.findings import Finding, from_validation
from mlops_assets.components.positions import Document, read_documents
from mlops_assets.components.references import broken_references
from mlops_assets.components.schema import ModelSpec
from mlops_assets.contract.names import table_of
from mlops_assets.contract.partitions import PartitionsSpec
from mlops_assets.contract.spec import TableSpec
from mlops_assets.errors import MlopsError
from mlops_assets.experiment.spec import ExperimentSpec
from mlops_assets.features.spec import FeatureViewSpec
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.rollout.spec import RolloutSpec

COMPONENT_FILES = ("defs.yaml", "defs.yml", "component.yaml")
PREFIX = "mlops_assets.components."
SPECS: Mapping[str, type[BaseModel]] = {
    f"{PREFIX}Ingestion": IngestionSpec,
    f"{PREFIX}FeatureView": FeatureViewSpec,
    f"{PREFIX}ModelLifecycle": ModelSpec,
}

Spec = TypeVar("Spec", IngestionSpec, FeatureViewSpec, ModelSpec)
Found = TypeVar("Found")


class UnknownDefinition(MlopsError):
    """A name was asked for that no file defines."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        super().__init__(
            f"{kind} {name!r}",
            found=f"no file that defines it (known: {', '.join(known) or 'none'})",
            required="one of the known names",
            remedy="Correct the name, or write the file with `mlops new`.",
        )


@dataclass(frozen=True)
class Entry(Generic[Spec]):
    """One valid document: its spec, and where it was written."""

    spec: Spec
    file: Path
    document: Document

    @property
    def folder(self) -> Path:
        return self.file.parent

    def finding(self, place: tuple[str | int, ...], *, found: str, required: str, remedy: str) -> Finding:
        """Return a finding that points at a place below `attributes` of this document."""
        line = self.document.line(("attributes", *place))
        return Finding(self.file, line, ".".join(map(str, place)), found, required, remedy)


@dataclass
class Catalog:
    """All definitions below a folder, by kind and name, with the findings."""

    root: Path
    ingestions: dict[str, Entry[IngestionSpec]] = field(default_factory=dict)
    views: dict[str, Entry[FeatureViewSpec]] = field(default_factory=dict)
    models: dict[str, Entry[ModelSpec]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def ingestion(self, name: str) -> Entry[IngestionSpec]:
        return _lookup("Ingestion", self.ingestions, name)

    def view(self, name: str) -> Entry[FeatureViewSpec]:
        return _lookup("Feature view", self.views, name)

    def model(self, name: str) -> Entry[ModelSpec]:
        return _lookup("Model", self.models, name)

    def table(self, reference: str) -> TableSpec:
        """Return the raw table behind a reference.

        Raises:
            UnknownDefinition: No such table.
        """
        source, name = table_of(reference).split("/")
        return _lookup("Raw table", self.ingestion(source).spec.tables, name)

    def partitions_of(self, spec: ModelSpec) -> tuple[str, PartitionsSpec]:
        """Return `(source/table, partitions)` of the table whose windows cut a model's spine.

        Raises:
            UnknownDefinition: No table of the spine is partitioned.
        """
        for reference in spec.spine.sources.values():
            partitions = self.ingestion(reference.split("/")[0]).spec.partitions
            if partitions is not None:
                return table_of(reference), partitions
        raise UnknownDefinition("Partitioned table for the spine of", spec.name, sorted(spec.spine.sources.values()))

    def rollout_of(self, spec: ModelSpec) -> RolloutSpec | None:
        """Return how versions of a model come to full traffic, with the columns of `assign_by` written out.

        Raises:
            UnknownDefinition: One of its views does not load.
        """
        if spec.rollout is None or spec.rollout.assign_by:
            return spec.rollout
        return spec.rollout.model_copy(update={"assign_by": self._entities(spec)})

    def experiment_of(self, spec: ModelSpec) -> ExperimentSpec | None:
        """Return how versions of a model are compared, with the columns of `unit` written out.

        Raises:
            UnknownDefinition: One of its views does not load.
        """
        if spec.experiment is None or spec.experiment.unit:
            return spec.experiment
        return spec.experiment.model_copy(update={"unit": self._entities(spec)})

    def entries(self) -> Iterator[Entry[IngestionSpec] | Entry[FeatureViewSpec] | Entry[ModelSpec]]:
        yield from self.ingestions.values()
        yield from self.views.values()
        yield from self.models.values()

    def _entities(self, spec: ModelSpec) -> list[str]:
        return list(dict.fromkeys(column for view in spec.views for column in self.view(view).spec.entity))

    def findings_in(self, folder: Path) -> list[Finding]:
        """Return the findings of the files at or below a folder."""
        return [finding for finding in self.findings if finding.file.is_relative_to(folder)]


def read_catalog(root: Path) -> Catalog:
    """Read every component file below `root`; mistakes become findings, never exceptions."""
    catalog = Catalog(root)
    for file in component_files(root):
        for document in _documents(file, catalog):
            _add(document, file, catalog)
    catalog.findings += broken_references(catalog)
    return catalog


def component_files(root: Path) -> list[Path]:
    """Return the files that Dagster loads below `root`: one component file a folder, none below another one."""
    own = next((root / name for name in COMPONENT_FILES if (root / name).is_file()), None)
    if own is not None:
        return [own]
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name != "__pycache__")
    return [file for folder in folders for file in component_files(folder)]


def _lookup(kind: str, entries: Mapping[str, Found], name: str) -> Found:
    if name not in entries:
        raise UnknownDefinition(kind, name, sorted(entries))
    return entries[name]


def _documents(file: Path, catalog: Catalog) -> list[Document]:
    try:
        return read_documents(file)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        catalog.findings.append(
            Finding(
                file,
                line,
                "syntax",
                error.problem or "broken text",
                "a YAML document",
                "Correct the indentation or quotes.",
            )
        )
        return []


def _add(document: Document, file: Path, catalog: Catalog) -> None:
    data = document.data if isinstance(document.data, dict) else {}
    kind = str(data.get("type"))
    if kind not in SPECS:
        if kind.startswith(PREFIX) or kind == "None":
            required = f"one of {', '.join(SPECS)}"
            catalog.findings.append(
                Finding(file, document.line(("type",)), "type", kind, required, "Correct the type.")
            )
        return
    model = SPECS[kind]
    try:
        spec = model.model_validate(data.get("attributes") or {})
    except ValidationError as error:
        catalog.findings += from_validation(error, file=file, document=document, model=model)
        return
    _keep(Entry(spec, file, document), catalog)  # type: ignore[type-var, arg-type]


def _keep(entry: Entry, catalog: Catalog) -> None:
    kinds = {IngestionSpec: catalog.ingestions, FeatureViewSpec: catalog.views, ModelSpec: catalog.models}
    taken = {other.spec.name: other for other in catalog.entries()}
    other = taken.get(entry.spec.name)
    if other is None:
        kinds[type(entry.spec)][entry.spec.name] = entry
        return
    for one, two in [(entry, other), (other, entry)]:
        catalog.findings.append(
            one.finding(
                ("name",),
                found=f"{entry.spec.name!r}, which {two.file} uses too",
                required="a name that no other file uses",
                remedy="Rename one of the two.",
            )
        )
