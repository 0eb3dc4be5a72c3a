"""Saving and loading a model: every byte that matters is verified before it is used."""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from sklearn.pipeline import Pipeline

from mlops_assets.predictor.artifact import identity, load, save
from mlops_assets.predictor.errors import CorruptArtifact, GoldenMismatch, NoRequestFunction, UntrustedTypes
from mlops_assets.predictor.frame import feature_frame
from mlops_assets.predictor.golden import golden_rows

FILES = ["model.skops", "golden.json", "request.py", "reference_profile.json"]


def _rewrite(folder, name, data):
    """Change a file and make the manifest agree, as only somebody with intent would."""
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_loaded_model_scores_like_the_pipeline_it_was(saved, pipeline, table, signature):
    expected = pipeline.predict_proba(feature_frame(table, signature))[:, 1]
    predictor = load(str(saved))
    assert predictor.predict(table).dtype == np.float64
    np.testing.assert_array_equal(predictor.predict(table), expected.astype(float))


def test_a_loaded_model_knows_its_interface_and_its_past(saved, signature):
    predictor = load(str(saved))
    assert list(predictor.features.items()) == list(signature.features.items())
    assert predictor.request_inputs == ("at",)
    assert predictor.request_features is not None
    assert predictor.request_features({"at": np.array([1.5])})["size"].tolist() == [3.0]
    assert predictor.reference_profile == {"windows": {}}
    assert predictor.manifest.facts["training_set"] == "abc"
    assert predictor.manifest.libraries["xgboost"].startswith("3.")


def test_the_identity_is_that_of_the_manifest(saved):
    expected = hashlib.sha256((saved / "manifest.json").read_bytes()).hexdigest()
    assert identity(str(saved)) == load(str(saved)).sha256 == expected


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_refused(saved, name):
    data = bytearray((saved / name).read_bytes())
    required, data[len(data) // 2] = hashlib.sha256(data).hexdigest(), data[len(data) // 2] ^ 1
    (saved / name).write_bytes(data)
    with pytest.raises(CorruptArtifact) as error:
        load(str(saved))
    assert name in str(error.value)
    assert required in str(error.value)
    assert hashlib.sha256(data).hexdigest() in str(error.value)


@pytest.mark.parametrize("name", ["manifest.json", *FILES])
def test_a_missing_file_is_refused(saved, name):
    (saved / name).unlink()
    with pytest.raises(CorruptArtifact, match=f"{name}: found no such file"):
        load(str(saved))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}'])
def test_a_file_that_is_no_manifest_is_refused(saved, text):
    (saved / "manifest.json").write_text(text)
    with pytest.raises(CorruptArtifact, match=r"manifest\.json"):
        load(str(saved))


def test_a_manifest_of_the_future_is_refused(saved):
    manifest = json.loads((saved / "manifest.json").read_text()) | {"schema_version": 2}
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CorruptArtifact, match="found schema_version 2; required schema_version 1"):
        load(str(saved))


def test_a_model_that_scores_differently_than_when_it_was_saved_is_refused(saved):
    golden = json.loads((saved / "golden.json").read_text())
    golden["scores"][3] += 1e-5
    _rewrite(saved, "golden.json", json.dumps(golden).encode())
    with pytest.raises(GoldenMismatch, match=r"1e-05; required at most 1e-06"):
        load(str(saved))


def test_types_that_the_manifest_does_not_declare_are_refused(saved):
    manifest = json.loads((saved / "manifest.json").read_text()) | {"types": ["numpy.dtype"]}
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UntrustedTypes, match=r"xgboost\.core\.Booster"):
        load(str(saved))


def test_a_half_written_folder_never_loads(tmp_path, pipeline, table, signature, monkeypatch):
    def fail_on_manifest(path, data):
        if path.name == "manifest.json":
            raise KeyboardInterrupt
        return path.open("wb").write(data)

    monkeypatch.setattr("pathlib.Path.write_bytes", fail_on_manifest)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, pipeline, signature=signature, rows=table, facts={})
    with pytest.raises(CorruptArtifact, match=r"manifest\.json"):
        load(str(tmp_path))


def test_a_request_file_without_the_function_is_refused_at_saving(tmp_path, pipeline, table, signature):
    with pytest.raises(NoRequestFunction, match="request_features"):
        save(
            tmp_path,
            pipeline,
            signature=signature,
            rows=table,
            facts={},
            request_source=b"def features(columns): return columns\n",
        )


def test_a_model_loads_from_an_object_store(saved, table):
    fsspec.filesystem("memory").put(str(saved), "memory://models/one", recursive=True)
    expected = load(str(saved)).predict(table)
    shutil.rmtree(saved)
    np.testing.assert_array_equal(load("memory://models/one").predict(table), expected)


def test_scoring_in_threads_gives_the_same_bits(saved, table):
    predictor = load(str(saved))
    assert predictor.pipeline[-1].get_params()["n_jobs"] == 1
    expected = predictor.predict(table)
    with ThreadPoolExecutor(4) as pool:
        for scores in pool.map(lambda _: predictor.predict(table), range(40)):
            np.testing.assert_array_equal(scores, expected)


def test_golden_rows_hold_missing_huge_and_unknown_values(table, signature):
    golden = golden_rows(table, signature)
    assert golden.num_rows == 32
    assert golden["size"].to_pylist()[-3:] == [None, 1e30, -1e30]
    assert "a category never seen" in golden["colour"].to_pylist()


def test_no_rows_give_no_scores(saved, table):
    assert load(str(saved)).predict(table.slice(0, 0)).tolist() == []


def test_regression_gives_values(tmp_path, table, signature):
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression

    from mlops_assets.predictor.signature import Signature

    numeric = Signature({"size": "numeric"}, "regression")
    rows = pa.table({"size": [1.0, 2.0, 4.0]})
    steps = [("impute", SimpleImputer()), ("estimator", LinearRegression())]
    line = Pipeline(steps).fit(feature_frame(rows, numeric), [3.0, 5.0, 9.0])
    save(tmp_path, line, signature=numeric, rows=rows, facts={})
    assert load(str(tmp_path)).predict({"size": np.array([10.0])}) == pytest.approx([21.0])
