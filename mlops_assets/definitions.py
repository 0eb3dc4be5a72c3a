"""The code location: load every definition file, merge, bind the resources.

One file that does not load becomes one asset that carries its error (ADR 0007); the others live on.
"""

import warnings
from pathlib import Path
from types import ModuleType

import dagster as dg

from mlops_assets.settings import keep_time_zones, load_settings, silence_telemetry

silence_telemetry()
keep_time_zones()
for category in (dg.BetaWarning, dg.PreviewWarning):  # known and pinned: one line per asset would bury real warnings
    warnings.filterwarnings("ignore", category=category)

from mlops_assets.assets.broken import broken_asset  # noqa: E402  telemetry is silenced before any library loads
from mlops_assets.automation.sensors import location_automation  # noqa: E402
from mlops_assets.components.active import using  # noqa: E402
from mlops_assets.components.catalog import Catalog, component_files, read_catalog  # noqa: E402
from mlops_assets.resources.places import build_resources  # noqa: E402

DEFS = Path(__file__).parent / "defs"


def build_definitions(defs_root: Path = DEFS, *, strict: bool = False) -> dg.Definitions:
    """Build the definitions of every file below `defs_root`.

    Args:
        strict: Raise what a file raises instead of turning it into an asset under `broken/`.
    """
    catalog = read_catalog(defs_root)
    shared = dg.Definitions(resources=build_resources(load_settings()), executor=dg.in_process_executor)
    with using(catalog):
        ours = [_load(folder, catalog, strict=strict) for folder in _yaml_folders(defs_root)]
        theirs = [(folder, _load(folder, catalog, strict=strict)) for folder in _python_folders(defs_root)]
    base = dg.Definitions.merge(*ours, location_automation(catalog, ours), shared)
    return _add_compatible(base, theirs)


@dg.definitions
def defs() -> dg.Definitions:
    """The entry point that `workspace.yaml` names."""
    return dg.Definitions.merge(build_definitions(), _component_docs())


def _yaml_folders(root: Path) -> list[Path]:
    return sorted({file.parent for file in component_files(root)})


def _python_folders(root: Path) -> list[Path]:
    """Return the folders with Python definitions of a user; Python beside a component file belongs to that file."""
    owned = _yaml_folders(root)
    folders = {file.parent for file in root.rglob("*.py")}
    return sorted(folder for folder in folders if not any(folder.is_relative_to(other) for other in owned))


def _load(folder: Path, catalog: Catalog, *, strict: bool) -> dg.Definitions:
    findings = catalog.findings_in(folder)
    if findings and not strict:
        return broken_asset(folder.name, "\n".join(map(str, findings)))
    try:
        return _tree(folder, catalog.root).build_defs_at_path(folder)
    except Exception as error:
        if strict:
            raise
        return broken_asset(folder.name, str(_root_cause(error)))


def _tree(folder: Path, root: Path) -> dg.ComponentTree:
    """Return a tree of one folder alone, because Dagster parses a whole tree before it loads any part of it."""
    module = ModuleType(".".join([root.parent.name, root.name, *folder.relative_to(root).parts]))
    module.__file__, module.__path__ = None, [str(folder)]
    return dg.ComponentTree(defs_module=module, project_root=root.parent.parent)


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _add_compatible(base: dg.Definitions, parts: list[tuple[Path, dg.Definitions]]) -> dg.Definitions:
    """Add a user's Python definitions folder by folder; one that clashes with the rest becomes a broken asset.

    Our own files need no such trial: the catalogue has already refused equal names.
    """
    for folder, part in parts:
        together = dg.Definitions.merge(base, part)
        try:
            together.get_repository_def()
        except Exception as error:  # noqa: BLE001  a user's code may raise anything, and must not take the rest down
            together = dg.Definitions.merge(base, broken_asset(folder.name, str(_root_cause(error))))
        base = together
    return base


def _component_docs() -> dg.Definitions:
    """Return what the page of component types in the UI shows: our kinds alone.

    Dagster's own list imports every installed package that registers components: 3 CPU s, dlt among them.
    """
    try:
        from dagster.components.core.load_defs import PLUGIN_COMPONENT_TYPES_JSON_METADATA_KEY
        from dagster.components.core.package_entry import discover_package_objects
        from dagster.components.core.snapshot import get_package_entry_snap
        from dagster_shared.serdes.objects.package_entry import json_for_all_components
    except ImportError:  # not public API: without it that page is empty, and nothing else changes
        return dg.Definitions()
    kinds = discover_package_objects(["mlops_assets.components"])
    documented = json_for_all_components([get_package_entry_snap(key, kind) for key, kind in kinds.items()])
    return dg.Definitions(metadata={PLUGIN_COMPONENT_TYPES_JSON_METADATA_KEY: documented})
