"""What loads, under which names, at which price, and what one broken file does to the others."""

import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from shop.deployment import SHOP_DEFS

from mlops_assets.definitions import DEFS, build_definitions

HEAVY = ["mlflow", "evidently", "xgboost", "sklearn", "sagemaker", "pandas", "dlt"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHOP_DEFS, tmp_path / "defs"))


def keys_of(definitions: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}


def test_the_public_names_of_a_model(files: Path) -> None:
    definitions = build_definitions(files, strict=True)

    assert keys_of(definitions) == {
        "raw/shop/orders",
        "quarantine/shop/orders",
        "reconciliation/shop",
        "features/customer",
        "returns/training_set",
        "returns/candidate",
        "returns/evaluation",
        "returns/registered_version",
        "returns/deployment",
        "returns/predictions",
        "returns/profile",
        "returns/drift_report",
        "returns/quality_report",
        "returns/prediction_log",
    }
    repository = definitions.get_repository_def()
    assert {job.name for job in repository.get_all_jobs()} >= {
        "shop_ingest",
        "features_refresh",
        "returns_score",
        "returns_monitor",
        "returns_log",
        "returns_retrain",
    }
    assert {sensor.name for sensor in repository.sensor_defs} == {"retraining"}
    assert {schedule.name for schedule in repository.schedule_defs} == {
        "shop_ingest_schedule",
        "returns_retrain_schedule",
        "lake_maintenance_schedule",
    }


def test_what_each_asset_depends_on(files: Path) -> None:
    graph = build_definitions(files, strict=True).resolve_asset_graph()
    parents = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
        if key.path[0] == "returns"
    }

    assert parents == {
        "returns/training_set": {"raw/shop/orders", "features/customer"},
        "returns/candidate": {"returns/training_set"},
        "returns/evaluation": {"returns/candidate"},
        "returns/registered_version": {"returns/evaluation"},
        "returns/deployment": {"returns/registered_version"},
        "returns/predictions": {"raw/shop/orders", "features/customer", "returns/deployment"},
        "returns/profile": {"returns/predictions"},
        "returns/drift_report": {"returns/profile"},
        "returns/quality_report": {"returns/predictions"},
        "returns/prediction_log": {"returns/deployment"},
    }


def test_no_job_mixes_partitioned_and_unpartitioned_assets() -> None:
    for definitions in (build_definitions(strict=True), build_definitions(SHOP_DEFS, strict=True)):
        graph = definitions.resolve_asset_graph()
        for job in definitions.get_repository_def().get_all_jobs():
            if job.name.startswith("__"):
                continue
            kinds = {graph.get(key).partitions_def is None for key in job.asset_layer.executable_asset_keys}
            assert len(kinds) <= 1, job.name


def test_the_shipped_definitions_load_strictly_and_validate() -> None:
    dg.Definitions.validate_loadable(build_definitions(DEFS, strict=True))


def test_loading_imports_no_heavy_library() -> None:
    load = "import sys, mlops_assets.definitions as d; d.defs().get_repository_def()"
    code = f"{load}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        ("type: mlops_assets.components.ModelLifecycle\nattributes: {name: bad, tusk: binary}", "unknown key"),
        ("type: mlops_assets.components.ModelLifecycl\nattributes: {name: bad}", "Correct the type"),
        ("type: [\n", "a YAML document"),
        ("type: nowhere.Kind\nattributes: {}", "nowhere"),
    ],
)
def test_one_broken_file_becomes_one_visibly_broken_asset(files: Path, breakage: str, message: str) -> None:
    (files / "bad").mkdir()
    (files / "bad" / "defs.yaml").write_text(breakage)

    definitions = build_definitions(files)

    assert {"broken/bad", "returns/candidate", "raw/shop/orders"} <= keys_of(definitions)
    broken = definitions.resolve_asset_graph().get(dg.AssetKey(["broken", "bad"]))
    assert message in broken.description
    with pytest.raises(Exception):  # noqa: B017, PT011  strict mode raises whatever the file raises
        build_definitions(files, strict=True)


def test_two_files_with_one_name_are_both_marked(files: Path) -> None:
    shutil.copytree(files / "customer", files / "customer_again")

    definitions = build_definitions(files)

    assert {"broken/customer", "broken/customer_again"} <= keys_of(definitions)


def test_python_definitions_of_a_user_live_beside_ours(files: Path) -> None:
    package = files.rename(files.with_name("userdefs"))
    (package / "extra").mkdir()
    (package / "extra" / "assets.py").write_text(
        "import dagster as dg\n@dg.asset\ndef mine():\n    'A user asset.'\n@dg.asset(key=['returns', 'candidate'])\ndef clash(): ...\n"
    )

    assert "broken/extra" in keys_of(build_definitions(package))


def test_the_kinds_of_file_are_documented_for_the_ui() -> None:
    from mlops_assets.definitions import defs

    (documented,) = defs().get_repository_def().metadata["plugin_component_types_json"].value

    assert {kind["name"].rsplit(".", 1)[-1] for kind in documented["componentTypes"]} == {
        "Ingestion",
        "FeatureView",
        "ModelLifecycle",
    }
