"""Why an experiment cannot start, or end."""

from __future__ import annotations

from mlops_assets.errors import MlopsError


class NoExperiment(MlopsError):
    """There is nothing to show or to stop."""

    def __init__(self, model: str, found: str = "none, ever") -> None:
        super().__init__(
            f"{model}: its experiment",
            found=found,
            required="one that runs",
            remedy=f"`mlops experiment start {model} VERSION --hypothesis TEXT` begins one.",
        )


class NoExperimentSpec(MlopsError):
    """The file does not say how to compare."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"{model}: an experiment",
            found="a file without `experiment:`",
            required="`experiment:` with a `primary` metric",
            remedy="Add it to the model's file; `mlops new model NAME` shows it, commented.",
        )


class CannotStart(MlopsError):
    """Something stands in the way of an experiment."""

    def __init__(self, model: str, version: int, *, found: str, remedy: str) -> None:
        super().__init__(
            f"{model}: an experiment with version {version}",
            found=found,
            required="a champion, another version, and no rollout or experiment under way",
            remedy=remedy,
        )


class UnknownExperimentSchema(MlopsError):
    """The object was written by another release."""

    def __init__(self, model: str, found: object, required: int) -> None:
        super().__init__(
            f"state experiments/{model}",
            found=f"schema_version {found}",
            required=f"schema_version == {required}",
            remedy="Use the release of mlops_assets that wrote it, or newer.",
        )
