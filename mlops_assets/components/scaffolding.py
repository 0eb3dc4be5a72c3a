"""New definition files: commented, with every key that a person is likely to change."""

from pathlib import Path
from string import Template

import dagster as dg

from mlops_assets.errors import MlopsError

TEMPLATES = Path(__file__).parent / "templates"


class FileExists(MlopsError):
    """A new definition would overwrite a file."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"New definition {file.parent.name!r}",
            found=f"{file} already there",
            required="a folder without a definition",
            remedy="Choose another name, or edit the file that exists.",
        )


def write_definition(kind: str, folder: Path, *, source: str = "python") -> Path:
    """Write the template of `kind` (`Ingestion`, `FeatureView`, `ModelLifecycle`) as `defs.yaml` of a new folder.

    Args:
        source: Where an Ingestion reads: `rest`, `sql`, `files`, `external` or `python`.

    Raises:
        FileExists: The folder already holds a definition.
    """
    file = folder / "defs.yaml"
    if file.exists():
        raise FileExists(file)
    text = (
        _filled(f"{kind}.yaml", name=folder.name, source=_filled(f"Ingestion-{source}.yaml", name=folder.name)) + "\n"
    )
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def _filled(template: str, **values: str) -> str:
    return Template((TEMPLATES / template).read_text()).substitute(values).rstrip("\n")


class TemplateScaffolder(dg.Scaffolder):
    """Answers `dg scaffold defs mlops_assets.components.<Kind> NAME`."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        write_definition(request.type_name.rsplit(".", 1)[-1], request.target_path)
