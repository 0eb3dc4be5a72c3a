"""A version made again from its lineage: bit for bit the same, or the first input that differs."""

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from features.world import definition, view
from registry.rebuild.world import booster_hash, train_version

from mlops_assets.features.rebuilt_set import InputsGone
from mlops_assets.lake.maintenance import Policy, maintain
from mlops_assets.registry.rebuild.recorded import NotRebuildable


def hashes(rebuilt):
    return {one.name: one.recorded for one in rebuilt.outputs if not one.differs}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_three_seeds_come_out_bit_for_bit(shop, tracking, seed):
    first = train_version(shop, tracking, seed=seed)
    rebuilt = first.rebuild()

    assert rebuilt.is_identical
    assert hashes(rebuilt)["booster.ubj"] == booster_hash(first.version.artifact_uri)
    assert {"booster.ubj", "tables.json", "golden.json", "parts of model.skops", "scores of all rows"} <= set(
        hashes(rebuilt)
    )
    assert rebuilt.sentence.startswith("returns@1: identical, bit for bit, and so are its scores of ")


def test_seeds_are_told_apart(shop, tracking):
    assert len({booster_hash(train_version(shop, tracking, seed=seed).version.artifact_uri) for seed in (0, 1)}) == 2


@pytest.mark.parametrize(
    "spec",
    [
        {"estimator": "sklearn.LogisticRegression", "params": {}},
        {"estimator": "sklearn.RandomForestClassifier", "params": {"n_estimators": 10}},
        {"early_stopping_rounds": None, "params": {"n_estimators": 15}},
        {"data": "stream"},
        {"sample_weight": "order_id", "estimator": "sklearn.LogisticRegression", "params": {}},
        {"calibration": "auto", "class_weights": "balanced", "monotone": {"amount": "increasing"}},
    ],
)
def test_other_estimators(shop, tracking, spec):
    assert train_version(shop, tracking, **spec).rebuild().is_identical


@pytest.mark.parametrize("spec", [{}, {"calibration": "isotonic"}, {"data": "stream"}])
def test_a_refit_is_what_is_compared_if_it_was_registered(shop, tracking, spec):
    version = train_version(shop, tracking, with_refit=True, **spec)
    rebuilt = version.rebuild()
    assert (rebuilt.artefact, rebuilt.is_identical) == ("refit", True)
    assert hashes(rebuilt)["booster.ubj"] == booster_hash(version.version.artifact_uri)


def test_a_library_of_another_version_is_named_first(trained):
    trained.say_libraries(xgboost="2.0.0")
    trained.say(asked={**json.loads(candidate(trained).read_text())["facts"]["asked"], "seed": 9}, commit="dead")
    rebuilt = trained.rebuild()
    assert not rebuilt.is_identical
    assert "The first input that differs: library xgboost (recorded 2.0.0, present " in rebuilt.sentence


def candidate(trained) -> Path:
    return Path(trained.version.artifact_uri).parent / "candidate" / "manifest.json"


def test_what_differs_without_an_effect_is_told_beside_the_identity(trained):
    rebuilt = trained.rebuild(commit="deadbeef")
    assert rebuilt.is_identical
    assert rebuilt.sentence.endswith("it does not depend on what differs by now: code.")


def test_changes_in_no_commit_are_never_the_same(trained):
    trained.say(commit_is_dirty="true")
    (code,) = [one for one in trained.rebuild(commit_is_dirty="true").inputs if one.differs]
    assert str(code).startswith("code (recorded c0ffee with changes of then that are in no commit, present c0ffee with")


def test_another_recipe_with_equal_inputs_is_told_by_its_files(trained):
    asked = json.loads(candidate(trained).read_text())["facts"]["asked"]
    trained.say(asked={**asked, "params": {**asked["params"], "max_depth": 2}})
    rebuilt = trained.rebuild()
    assert not rebuilt.is_identical
    assert "Identical in every input, but different outputs: booster.ubj, golden.json" in rebuilt.sentence


def test_a_changed_byte_of_the_training_set_is_named_and_nothing_is_fitted(trained):
    data = Path(trained.saved.uri, "data.parquet")
    table = pq.read_table(data)
    amounts = [0.5, *table["amount"].to_pylist()[1:]]
    pq.write_table(table.set_column(table.column_names.index("amount"), "amount", [amounts]), data)
    rebuilt = trained.rebuild()
    assert (rebuilt.is_identical, rebuilt.outputs) == (False, ())
    assert (
        f"The first input that differs: training set (recorded {trained.saved.sha256}, present none: "
        in rebuilt.sentence
    )


def test_a_training_set_that_is_gone_is_made_again(trained):
    shutil.rmtree(trained.saved.uri)
    rebuilt = trained.rebuild()
    assert rebuilt.is_identical
    assert rebuilt.training_set.startswith("made again from raw/shop/orders@")


def test_a_lake_that_moved_is_found(trained):
    trained.say(training_set_uri="/gone/training_sets/returns/x")
    assert trained.rebuild().training_set == f"kept at {trained.saved.uri}"


def test_a_training_set_that_is_gone_with_its_tables_is_named(trained):
    shutil.rmtree(trained.saved.uri)
    trained.shop.publish(
        pq.read_table(next(Path(trained.shop.lake, "raw/shop/orders").glob("*.parquet"))).slice(0, 100)
    )
    trained.shop.refresh(view())
    list(maintain(trained.shop.lake, {}, Policy(timedelta(0))))
    with pytest.raises(InputsGone, match=r"gone: raw/shop/orders version 2 \(1 of 1 files") as error:
        trained.rebuild()
    assert "features/returns version 1" in str(error.value)


def test_a_training_set_without_any_trace_is_refused(trained):
    shutil.rmtree(trained.saved.uri)
    (Path(trained.version.artifact_uri).parent / "training_set.json").unlink()
    with pytest.raises(NotRebuildable, match="found neither it nor its manifest"):
        trained.rebuild()


def test_without_a_definition_the_kept_rows_suffice(trained):
    rebuilt = trained.rebuild(None)
    assert [one.name for one in rebuilt.inputs if one.differs] == ["request function"]
    shutil.rmtree(trained.saved.uri)
    with pytest.raises(NotRebuildable, match="no file that defines the model"):
        trained.rebuild(None)


def test_another_request_function_is_named(trained):
    rebuilt = trained.rebuild(definition(view()))
    assert [one.name for one in rebuilt.inputs if one.differs] == ["request function"]


def test_what_an_older_release_did_not_record_is_named(trained):
    path = candidate(trained)
    manifest = json.loads(path.read_text())
    for name in ("commit", "python", "platform", "lock_sha256", "spec_sha256", "commit_is_dirty"):
        del manifest["facts"][name]
    path.write_text(json.dumps(manifest))
    rebuilt = trained.rebuild()
    assert rebuilt.is_identical
    assert {"code", "Python", "uv.lock"} <= set(rebuilt.not_recorded)


def test_a_version_without_a_recipe_is_refused(trained):
    path = candidate(trained)
    manifest = json.loads(path.read_text())
    del manifest["facts"]["asked"], manifest["facts"]["validation_after"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(NotRebuildable, match="found no record of asked, validation_after"):
        trained.rebuild()


def test_a_registered_model_that_was_changed_is_refused(trained):
    from mlops_assets.predictor.errors import CorruptArtifact

    (Path(trained.version.artifact_uri) / "golden.json").write_text("{}")
    with pytest.raises(CorruptArtifact, match=r"golden\.json"):
        trained.rebuild()


def test_a_streamed_set_that_is_gone_is_made_again_and_streamed(shop, tracking, tmp_path):
    apart = replace(shop, lake=str(shutil.copytree(shop.lake, tmp_path / "lake")))
    trained = train_version(apart, tracking, data="stream")
    shutil.rmtree(trained.saved.uri)
    assert trained.rebuild().is_identical
