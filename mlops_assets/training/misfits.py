"""What the `training` part of a file says that does not fit the model: unknown features, wrong kinds, wrong task.

`mlops check` asks with the names that the files tell; a training asks again with the kinds that the data has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.training.preprocessing_spec import CATEGORY_KEYS, NUMBER_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlops_assets.predictor.signature import Kind, Signature, Task
    from mlops_assets.training.spec import TrainingSpec

    Kinds = Mapping[str, Kind | None]


@dataclass(frozen=True)
class Misfit:
    """One of them.

    Attributes:
        place: Keys below the part of the file, such as `training`; a number is a place in a list.
    """

    place: tuple[str | int, ...]
    found: str
    required: str
    remedy: str


class TrainingMisfit(MlopsError):
    """The `training` part of the file does not fit the model."""

    def __init__(self, misfit: Misfit) -> None:
        place = ".".join(map(str, ("training", *misfit.place)))
        super().__init__(place, found=misfit.found, required=misfit.required, remedy=misfit.remedy)


def require_fit(spec: TrainingSpec, signature: Signature) -> None:
    """Raise the first misfit of a model whose features are known with their kinds.

    Raises:
        TrainingMisfit: There is one.
    """
    for misfit in misfits(spec, signature.task, signature.features, is_complete=True):
        raise TrainingMisfit(misfit)


def misfits(spec: TrainingSpec, task: Task, kinds: Kinds, *, is_complete: bool) -> Iterator[Misfit]:
    """Yield what does not fit.

    Args:
        kinds: Kind of each feature; None where it is not known yet.
        is_complete: No other feature exists; a request function may make more.
    """
    for key in ("preprocessing", "monotone"):
        for feature in getattr(spec, key):
            if is_complete and feature not in kinds:
                found, required = f"no feature {feature!r}", f"one of {', '.join(kinds)}"
                yield Misfit((key, feature), found, required, "Correct the name, or add the feature to the model.")
    yield from _wrong_kinds(spec, kinds)
    if spec.sample_weight in kinds:
        found = f"{spec.sample_weight!r}, which is a feature"
        yield Misfit(("sample_weight",), found, "a column of the spine that is no feature", "Select it under a name.")
    yield from _wrong_task(spec, task)


def _wrong_kinds(spec: TrainingSpec, kinds: Kinds) -> Iterator[Misfit]:
    allowed = {"numeric": NUMBER_KEYS, "categorical": CATEGORY_KEYS}
    for feature, one in spec.preprocessing.items():
        kind = kinds.get(feature)
        wrong = sorted(set(one.model_dump(exclude_none=True)) - set(allowed[kind])) if kind else []
        if kind and wrong:
            required = f"only {', '.join(allowed[kind])}"
            found = f"{', '.join(wrong)} of a {kind} feature"
            yield Misfit(("preprocessing", feature), found, required, "Remove these keys.")
    for feature in spec.monotone:
        if kinds.get(feature) == "categorical":
            yield Misfit(("monotone", feature), "a categorical feature", "a numeric one", "Remove it.")


def _wrong_task(spec: TrainingSpec, task: Task) -> Iterator[Misfit]:
    if task == "regression" and spec.calibration:
        found = f"{spec.calibration!r} of a regression"
        yield Misfit(("calibration",), found, "a task with probabilities", "Remove `training.calibration`.")
    if task == "regression" and spec.class_weights:
        found = "class weights of a regression"
        yield Misfit(("class_weights",), found, "a task with classes", "Remove `training.class_weights`.")
    if task == "multiclass" and spec.monotone:
        found = f"directions of {', '.join(spec.monotone)} in a multiclass model"
        required = "a binary or a regression task: probabilities of several classes cannot all go one way"
        yield Misfit(("monotone",), found, required, "Remove `training.monotone`.")
    if task == "binary" and isinstance(spec.class_weights, dict):
        for label in sorted(set(spec.class_weights) - {"0", "1"}):
            required = "the labels of a binary model, `0` and `1`"
            yield Misfit(("class_weights", label), f"label {label!r}", required, "Correct the label.")
