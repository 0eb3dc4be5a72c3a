"""Who falls to the challenger of an experiment: the same always, and independent of every other split."""

import numpy as np
from experiment.experiments import experiment_of, spec_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from mlops_assets.experiment.state import salt_of
from mlops_assets.rollout.assignment import bucket, is_challengers, unit_of

UNITS = [unit_of([number, "N123"]) for number in range(2000)]
SURE = 1e-6  # over a hundred examples
versions, numbers = st.integers(1, 500), st.integers(1, 50)


def fallen(salt: str, share: float) -> np.ndarray:
    return np.array([is_challengers(unit, salt, share) for unit in UNITS])


@settings(max_examples=30)
@given(versions, numbers, st.sampled_from([0.1, 0.5]), st.sampled_from([0.05, 0.5]))
def test_the_split_is_independent_of_that_of_a_rollout_of_the_same_version(version, number, share, ramp) -> None:
    own, other = fallen(salt_of(f"delay-ab-{version}-{number}"), share), fallen(f"delay-{version}-{number}", ramp)

    counts = [
        [int((own & other).sum()), int((own & ~other).sum())],
        [int((~own & other).sum()), int((~own & ~other).sum())],
    ]
    assert chi2_contingency(counts, correction=False).pvalue > SURE


@settings(max_examples=30)
@given(versions, numbers)
def test_the_split_is_independent_of_that_of_the_next_experiment(version, number) -> None:
    one, next_one = (fallen(salt_of(f"delay-ab-{version}-{at}"), 0.5) for at in (number, number + 1))

    assert chi2_contingency(np.histogram2d(one, next_one, 2)[0], correction=False).pvalue > SURE


@settings(max_examples=30)
@given(st.text(max_size=100), versions, versions)
def test_no_two_experiments_share_a_salt_however_long_the_name_of_the_model(name, first, second) -> None:
    salts = {salt_of(f"{'x' * 80}{name}-ab-{one}-1") for one in (first, second)}

    assert len(salts) == (1 if first == second else 2)
    assert all(len(salt.encode()) <= 64 for salt in salts)  # more would be cut off


@settings(max_examples=30)
@given(versions, st.text())
def test_a_unit_keeps_its_arm_for_as_long_as_the_experiment_lasts(version, customer) -> None:
    experiment = experiment_of(spec_of(share=0.3), id=f"returns-ab-{version}-1")
    unit, traffic = unit_of([customer]), experiment.traffic

    assert traffic == experiment_of(spec_of(share=0.3), id=f"returns-ab-{version}-1").traffic
    assert is_challengers(unit, traffic.salt, traffic.share) == (bucket(unit, traffic.salt) < 3000)
