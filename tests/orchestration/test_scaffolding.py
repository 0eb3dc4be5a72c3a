"""`dg scaffold defs` gives birth to the same commented file as `mlops new`."""

import pytest
from dagster.components.testing import create_defs_folder_sandbox

from mlops_assets.components import FeatureView, Ingestion, ModelLifecycle


@pytest.mark.parametrize("kind", [Ingestion, FeatureView, ModelLifecycle])
def test_a_scaffolded_file_is_complete_and_named(kind) -> None:
    with create_defs_folder_sandbox() as sandbox:
        folder = sandbox.scaffold_component(component_cls=kind, defs_path="fresh")

        text = (folder / "defs.yaml").read_text()

    assert text.startswith("#")
    assert f"type: mlops_assets.components.{kind.__name__}\n" in text
    assert "  name: fresh\n" in text


@pytest.mark.parametrize("kind", [Ingestion, FeatureView, ModelLifecycle])
def test_every_key_is_described(kind) -> None:
    undescribed = [
        name
        for name, field in kind.schema.model_fields.items()
        if not (field.description or getattr(field.annotation, "__doc__", None))
    ]

    assert undescribed == []
