"""Assignment against its definition written out, and against chance."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare, kstest

from mlops_assets.rollout.assignment import bucket, is_challengers, unit_of

UNITS = [unit_of([one, f"N{one % 977}"]) for one in range(20_000)]
SALTS = [f"delay-{version}-1" for version in range(20)]


def test_a_bucket_is_the_keyed_hash_of_a_json_list():
    digest = hashlib.blake2b(b'[7,"N123"]', digest_size=8, key=b"delay-13-1").digest()
    expected = sum(byte << (8 * (7 - place)) for place, byte in enumerate(digest)) % 10_000
    assert bucket(unit_of([7.0, "N123"]), "delay-13-1") == expected == 2134


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([7], b"[7]"),
        ([7.0], b"[7]"),
        ([7.5], b"[7.5]"),
        (["7"], b'["7"]'),
        ([True, None], b"[true,null]"),
        (["a", "b,c"], b'["a","b,c"]'),
        (["a,b", "c"], b'["a,b","c"]'),
        (["é"], '["é"]'.encode()),
    ],
)
def test_a_unit_is_its_json_list_in_which_7_0_is_7(values, unit):
    assert unit_of(values) == unit


@given(st.binary(max_size=40), st.text(max_size=30), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_whom_a_smaller_one_had(unit, salt, one, other):
    assert is_challengers(unit, salt, min(one, other)) <= is_challengers(unit, salt, max(one, other))
    assert not is_challengers(unit, salt, 0)
    assert is_challengers(unit, salt, 1)


def test_buckets_are_uniform_under_every_salt():
    p = [chisquare(np.bincount([bucket(unit, salt) // 100 for unit in UNITS], minlength=100)).pvalue for salt in SALTS]
    assert min(p) > 0.001
    assert kstest(p, "uniform").pvalue > 0.001


def test_salts_assign_independently_of_each_other():
    arms = np.array([[is_challengers(unit, salt, 0.3) for unit in UNITS] for salt in SALTS[:6]])
    p = [chi2_contingency(np.histogram2d(a, b, bins=2)[0]).pvalue for k, a in enumerate(arms) for b in arms[k + 1 :]]
    assert len(p) == 15
    assert min(p) > 0.0005


def test_long_salts_that_begin_alike_are_different_salts() -> None:
    begins_alike = [f"{'a' * 80}-{number}" for number in (1, 2)]

    buckets = [[bucket(unit_of([unit]), salt) for unit in range(200)] for salt in begins_alike]

    assert sum(a == b for a, b in zip(*buckets, strict=True)) < 5
