"""What a person may write under `training`, `split`, and what the answer is when it does not fit."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from mlops_assets.training.spec import SplitSpec, TrainingSpec


@pytest.mark.parametrize(
    "estimator",
    ["xgboost", "sklearn.Ridge", "sklearn.linear_model.Ridge", "my_models:make", "team.models.trees:make_it"],
)
def test_forms_of_an_estimator(estimator):
    assert TrainingSpec(estimator=estimator).estimator == estimator


@pytest.mark.parametrize("estimator", ["lightgbm", "sklearn", "sklearn.ridge", "xgboost.XGBClassifier", "a:b:c", ""])
def test_another_form_is_refused_with_the_forms_there_are(estimator):
    with pytest.raises(ValidationError, match=r"required 'xgboost', 'sklearn.<Class>'"):
        TrainingSpec(estimator=estimator)


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (SplitSpec, {"test_days": 0}),
        (SplitSpec, {"embargo_days": -1}),
        (SplitSpec, {"tests_days": 3}),
        (TrainingSpec, {"threads": 0}),
        (TrainingSpec, {"early_stopping_rounds": 0}),
    ],
)
def test_values_out_of_range_and_unknown_keys_are_refused(spec, values):
    with pytest.raises(ValidationError):
        spec(**values)


def test_every_key_is_described():
    for spec in (SplitSpec, TrainingSpec):
        assert all(field.description for field in spec.model_fields.values())


def test_specs_load_no_heavy_library():
    code = (
        "import sys, mlops_assets.training.spec, mlops_assets.evaluation.spec, mlops_assets.predictor.artifact, "
        "mlops_assets.training.tracking, mlops_assets.evaluation.evaluate, mlops_assets.registry.register; "
        "print(sorted({'mlflow', 'pandas', 'sklearn', 'xgboost', 'skops', 'matplotlib', 'numpy', 'pyarrow', "
        "'optuna', 'fairlearn', 'onnx', 'onnxruntime', 'skl2onnx', 'markdown_it', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
