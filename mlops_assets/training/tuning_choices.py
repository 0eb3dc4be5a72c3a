"""What a trial tries and when it is given up, each decided by its slot: its place in the search, whoever takes it.

Optuna numbers attempts. A trial that a kill cut off keeps its number, so those of a resumed search differ from those of
one that ran through; slots do not. With a sampler of its own per slot, both make the same choices.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from mlops_assets.training.tuning_spec import RangeSpec
from mlops_assets.training.tuning_study import was_killed

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

    from mlops_assets.training.tuning_spec import Choice, TuningSpec

SLOT = "slot"
LOOKS = 27  # of the pruner at one trial; Hyperband cuts by 3, so these are four brackets
WARM_UP_LOOKS = 3  # the first rounds of a low learning rate always look bad


def sampler_of(spec: TuningSpec, *, seed: int, slot: int) -> BaseSampler:
    """Return the sampler of one trial."""
    import numpy as np
    from optuna.samplers import PartialFixedSampler, RandomSampler, TPESampler

    own = int(np.random.SeedSequence([seed, slot]).generate_state(1)[0])
    if spec.sampler == "tpe":
        return TPESampler(seed=own, constant_liar=spec.parallel > 1)
    random = RandomSampler(seed=own)
    return PartialFixedSampler(_grid_point(spec, seed=seed, slot=slot), random) if spec.sampler == "grid" else random


def _grid_point(spec: TuningSpec, *, seed: int, slot: int) -> dict[str, Choice]:
    """Return one point of the grid; the order is shuffled, so that a part of the grid is spread over it."""
    import numpy as np

    axes = spec.axes()
    place = np.unravel_index(np.random.default_rng(seed).permutation(spec.points)[slot], [len(axis) for axis in axes])
    return {name: axis[int(i)] for name, axis, i in zip(spec.space, axes, place, strict=True)}


def suggest(trial: Trial, space: dict[str, RangeSpec | list[Choice]]) -> dict[str, Any]:
    """Ask Optuna for a value of each parameter."""
    return {name: _suggest(trial, name, values) for name, values in space.items()}


def _suggest(trial: Trial, name: str, values: RangeSpec | list[Choice]) -> Any:
    if not isinstance(values, RangeSpec):
        return trial.suggest_categorical(name, values)
    if values.is_whole:
        return trial.suggest_int(name, int(values.low), int(values.high), step=int(values.step or 1), log=values.log)
    return trial.suggest_float(name, values.low, values.high, step=values.step, log=values.log)


def rounds_per_look(rounds: int) -> int:
    """Return after how many boosting rounds the pruner looks at a trial: each look costs a transaction."""
    return max(1, rounds // LOOKS)


def pruner_of(spec: TuningSpec, *, rounds: int) -> BasePruner:
    """Return what gives hopeless trials up.

    Args:
        rounds: Boosting rounds of a trial, at most.
    """
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

    class Hyperband(HyperbandPruner):
        """Brackets by slot; a trial that was killed is in none, as if it had never been."""

        def _get_bracket_id(self, study: Study, trial: FrozenTrial) -> int:
            if was_killed(trial) or SLOT not in trial.user_attrs:
                return -1
            placed = copy(trial)
            placed.number = trial.user_attrs[SLOT]
            return super()._get_bracket_id(study, placed)

    if spec.pruner == "hyperband":
        return Hyperband(min_resource=rounds_per_look(rounds), max_resource=rounds)
    return (
        MedianPruner(n_warmup_steps=WARM_UP_LOOKS * rounds_per_look(rounds)) if spec.pruner == "median" else NopPruner()
    )
