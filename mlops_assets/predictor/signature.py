"""What a model takes and gives: the names and kinds of its features, its request inputs, its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Task = Literal["binary", "regression"]
Kind = Literal["numeric", "categorical"]


@dataclass(frozen=True)
class Signature:
    """The interface of a model.

    Attributes:
        features: Kind of each feature, in the order in which the model takes them.
        task: `binary` scores are probabilities of the positive class; `regression` scores are values.
        request_inputs: Columns of a request from which `request_features` computes further features.
    """

    features: Mapping[str, Kind]
    task: Task
    request_inputs: tuple[str, ...] = ()

    def names(self, kind: Kind) -> list[str]:
        """Return the features of one kind, in order."""
        return [name for name, found in self.features.items() if found == kind]
