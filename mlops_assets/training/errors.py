"""What stops a training, each case with its remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Sequence


class AllCensored(MlopsError):
    """No row of the training set has a label."""

    def __init__(self, rows: int) -> None:
        super().__init__(
            "training set",
            found=f"{rows} rows, none of them labelled",
            required="labelled rows (each label is still pending or was never observed)",
            remedy="Wait for labels, train as of a later time, or look at how the spine finds its labels.",
        )


class WrongLabel(MlopsError):
    """Labels do not fit the task."""

    def __init__(self, *, found: str, required: str) -> None:
        super().__init__("label of the training set", found=found, required=required, remedy="Correct the spine's SQL.")


class TooFewRows(MlopsError):
    """A part of the split has too few rows to say anything."""

    def __init__(self, part: str, *, rows: int, required: int, interval: str) -> None:
        super().__init__(
            f"{part} rows, {interval}",
            found=f"{rows} rows",
            required=f"at least {required}",
            remedy="Ingest more history, or shorten `split.validation_days` and `split.test_days`.",
        )


class SingleClassWindow(MlopsError):
    """All labels of a part of the split are the same, so nothing can be learned or judged there."""

    def __init__(self, part: str, *, rows: int, label: str, required: str, interval: str) -> None:
        super().__init__(
            f"{part} rows, {interval}",
            found=f"label {label} on all {rows} rows",
            required=required,
            remedy="Lengthen that part in `split`, or check how the spine computes the label.",
        )


class ClassNotLearned(MlopsError):
    """A class has no row to learn it from."""

    def __init__(self, missing: Sequence[str], *, interval: str) -> None:
        super().__init__(
            f"train rows, {interval}",
            found=f"no row of the class {', '.join(missing)}",
            required="rows of every class of the training set",
            remedy="Shorten `split.validation_days` and `split.test_days`, or join rare labels in the spine's SQL.",
        )


class NoWeightColumn(MlopsError):
    """The column of the weights does not exist."""

    def __init__(self, column: str, columns: Sequence[str]) -> None:
        super().__init__(
            f"training.sample_weight {column!r}",
            found=f"columns {', '.join(columns)}",
            required="a column of the training set",
            remedy="Let the spine select that column, or correct `training.sample_weight`.",
        )


class WrongWeights(MlopsError):
    """Weights that cannot be used."""

    def __init__(self, column: str, *, found: str) -> None:
        super().__init__(
            f"training.sample_weight {column!r}",
            found=found,
            required="finite numbers >= 0, not all of them 0",
            remedy="Correct the column in the spine's SQL.",
        )


class UnknownClasses(MlopsError):
    """Weights are given for classes that no row has."""

    def __init__(self, unknown: Sequence[str], classes: Sequence[str]) -> None:
        super().__init__(
            "training.class_weights",
            found=f"weights of {', '.join(unknown)}",
            required=f"labels of the training set: {', '.join(classes)}",
            remedy="Correct the labels.",
        )


class WeightlessClass(MlopsError):
    """Every row of a class weighs nothing, so no factor can balance it."""

    def __init__(self, label: str) -> None:
        super().__init__(
            "training.class_weights: balanced",
            found=f"a total weight of 0 on the rows of class {label}",
            required="rows of positive weight in every class",
            remedy="Correct the column of `training.sample_weight`, or give the weights by label.",
        )


class UnknownEstimator(MlopsError):
    """The estimator of the file cannot be found, or refuses its parameters."""

    def __init__(self, estimator: str, *, found: str) -> None:
        super().__init__(
            f"training.estimator {estimator!r}",
            found=found,
            required="'xgboost', a scikit-learn class, or an importable '<module>:<factory>', with parameters it takes",
            remedy="Correct `training.estimator`, `training.params` or the names in `training.tuning.space`.",
        )


class NoProbabilities(MlopsError):
    """A classifier must give probabilities."""

    def __init__(self, estimator: str, task: str) -> None:
        super().__init__(
            f"training.estimator {estimator!r} of a {task} model",
            found="no `predict_proba`",
            required="an estimator that predicts probabilities",
            remedy="Choose another estimator, or write `training.calibration: platt` if it has a `decision_function`.",
        )
