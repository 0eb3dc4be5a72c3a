"""`mlops check`: everything that can be known about the definition files without data."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from mlops_assets.cli.places import defs_folder

if TYPE_CHECKING:
    from mlops_assets.components.findings import Finding


def check_files(defs: Path | None) -> int:
    """Print the findings of every definition file; return 1 if there is one, else 0."""
    from mlops_assets.components.catalog import read_catalog
    from mlops_assets.components.inspection import inspect_catalog

    root = defs_folder(defs)
    catalog = read_catalog(root)
    findings = sorted([*catalog.findings, *inspect_catalog(catalog)], key=lambda one: (str(one.file), one.line))
    console = Console(highlight=False)
    for finding in findings:
        console.print(_text(finding), soft_wrap=True)
    counts = f"{len(catalog.ingestions)} ingestions, {len(catalog.views)} feature views, {len(catalog.models)} models"
    if findings:
        console.print(
            Text(f"{len(findings)} findings in {_files(findings)} files below {root} ({counts} load).", "red")
        )
        return 1
    console.print(Text(f"No findings below {root}: {counts}.", "green"))
    return 0


def _files(findings: Iterable["Finding"]) -> int:
    return len({finding.file for finding in findings})


def _text(finding: "Finding") -> Text:
    place = f"{finding.file}:{finding.line}"
    return Text.assemble(
        (place, "bold"),
        f" {finding.where}\n  found     {finding.found}\n  required  {finding.required}\n  remedy    {finding.remedy}",
    )
