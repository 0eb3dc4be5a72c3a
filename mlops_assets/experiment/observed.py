"""What was seen of both arms: the numbers that an analysis takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.rollout.evidence import Sample

    Vector = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Units:
    """The units of one arm that have an outcome, in any order.

    Attributes:
        outcomes: By unit, the mean over its rows since the experiment began, float64.
        before: By unit, the mean over its rows before that; NaN where it has none. None: nobody asked.
    """

    outcomes: Vector
    before: Vector | None = None

    def __len__(self) -> int:
        return len(self.outcomes)


@dataclass(frozen=True)
class Pair:
    """Both arms."""

    champion: Units
    challenger: Units


@dataclass(frozen=True)
class Observed:
    """Both arms since the experiment began.

    Attributes:
        sample: Requests, errors, nulls and times.
        guardrails: What `outcome` guardrails measure, by their position in the file.
    """

    sample: Sample
    primary: Pair
    guardrails: Mapping[int, Pair] = field(default_factory=dict[int, Pair])
