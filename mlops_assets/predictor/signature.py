"""What a model takes and gives: the names and kinds of its features, its request inputs, its task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Task = Literal["binary", "multiclass", "regression"]
Kind = Literal["numeric", "categorical"]


@dataclass(frozen=True)
class Signature:
    """The interface of a model.

    Attributes:
        features: Kind of each feature, in the order in which the model takes them.
        task: `binary` scores are probabilities of the positive class, `multiclass` scores those of each class, one
            column a class; `regression` scores are values.
        request_inputs: Columns of a request from which `request_features` computes further features.
        classes: Labels of a multiclass model, in the order of the columns of its scores; empty otherwise.
        input_kinds: Kind of each request input in the training set; models that were saved without it lack it.
    """

    features: Mapping[str, Kind]
    task: Task
    request_inputs: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    input_kinds: Mapping[str, Kind] = field(default_factory=dict[str, Kind])

    def names(self, kind: Kind) -> list[str]:
        """Return the features of one kind, in order."""
        return [name for name, found in self.features.items() if found == kind]
