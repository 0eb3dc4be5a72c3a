"""What stops a training, each case with its remedy."""

from __future__ import annotations

from mlops_assets.errors import MlopsError


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

    def __init__(self, part: str, *, rows: int, label: int, interval: str) -> None:
        super().__init__(
            f"{part} rows, {interval}",
            found=f"label {label} on all {rows} rows",
            required="both classes",
            remedy="Lengthen that part in `split`, or check how the spine computes the label.",
        )


class UnknownEstimator(MlopsError):
    """The estimator of the file cannot be found, or refuses its parameters."""

    def __init__(self, estimator: str, *, found: str) -> None:
        super().__init__(
            f"training.estimator {estimator!r}",
            found=found,
            required="'xgboost', a scikit-learn class, or an importable '<module>:<factory>', with parameters it takes",
            remedy="Correct `training.estimator` or `training.params`.",
        )


class NoProbabilities(MlopsError):
    """A binary model must give probabilities."""

    def __init__(self, estimator: str) -> None:
        super().__init__(
            f"training.estimator {estimator!r} of a binary model",
            found="no `predict_proba`",
            required="an estimator that predicts probabilities",
            remedy="Choose another estimator, or one wrapped in sklearn.calibration.CalibratedClassifierCV.",
        )
