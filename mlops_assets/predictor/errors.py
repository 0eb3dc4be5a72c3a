"""What can be wrong with a saved model or with the columns it is asked to score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Iterable

SAVE_AGAIN = "Train and save the model again, or point to an intact copy."


class CorruptArtifact(MlopsError):
    """A file of the saved model is missing or is not the file that was saved."""

    def __init__(self, uri: str, file: str, *, found: str, required: str) -> None:
        self.file = file
        super().__init__(f"model {uri}: file {file}", found=found, required=required, remedy=SAVE_AGAIN)


class GoldenMismatch(MlopsError):
    """The loaded model does not give the scores that it gave when it was saved."""

    def __init__(self, uri: str, *, difference: float, tolerance: float, libraries: str) -> None:
        super().__init__(
            f"model {uri}: replay of its golden rows",
            found=f"a largest difference of {difference:.3g}",
            required=f"at most {tolerance:g}",
            remedy=f"Use the library versions of training ({libraries}), or train again with the present ones.",
        )


class UntrustedTypes(MlopsError):
    """The model file holds Python types that its manifest does not declare."""

    def __init__(self, uri: str, found: Iterable[str], allowed: Iterable[str]) -> None:
        super().__init__(
            f"model {uri}: types in its model file",
            found=", ".join(found),
            required=f"only skops' own and {', '.join(allowed) or 'no others'}",
            remedy="The file was not written by this project; do not load it. " + SAVE_AGAIN,
        )


class NoRequestFunction(MlopsError):
    """The request file has no function of the name that training and serving call."""

    def __init__(self, file: str, name: str) -> None:
        super().__init__(
            f"request file {file}",
            found=f"no function `{name}`",
            required=f"`def {name}(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]`",
            remedy="Define it at the top level of the file.",
        )


class MissingFeatures(MlopsError):
    """Columns that the model needs are absent."""

    def __init__(self, missing: Iterable[str], found: Iterable[str]) -> None:
        super().__init__(
            f"columns to score lack {', '.join(missing)}",
            found=", ".join(found) or "no columns",
            required="every feature of the model, with nulls where a value is unknown",
            remedy="Add the columns.",
        )


class WrongFeatureType(MlopsError):
    """A column has values that its kind does not allow."""

    def __init__(self, feature: str, *, kind: str, found: str, required: str) -> None:
        self.feature = feature
        super().__init__(
            f"{kind} feature {feature}",
            found=found,
            required=required,
            remedy="Convert the column where it is made, or declare the feature's kind accordingly.",
        )


class NotTabular(MlopsError):
    """A transformer of the pipeline has no form as a table."""

    def __init__(self, found: str) -> None:
        super().__init__(
            "tables of the preprocessing",
            found=f"a {found}",
            required="imputers, scalers and encoders that `training.preprocessing` names",
            remedy="Nothing to do: the model is served through scikit-learn.",
        )
