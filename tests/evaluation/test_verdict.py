"""A verdict survives storage and cannot be mistaken for its opposite."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.evaluation.verdict import (
    Approved,
    Criterion,
    Evaluated,
    Rejected,
    UnreadableVerdict,
    decide,
    from_json,
    to_json,
)

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


def _evaluated(*passed):
    criteria = tuple(
        Criterion(name=f"c{i}", observed=0.1, threshold=0.0, passed=one, reason=f"reason {i}")
        for i, one in enumerate(passed)
    )
    return Evaluated(candidate_id="r", criteria=criteria, notes=("note",), candidate_sha256="aa", evaluated_at=NOW)


@given(passed=st.lists(st.booleans(), min_size=1, max_size=5))
def test_approved_exactly_if_all_passed_and_the_same_after_storage(passed):
    verdict = decide(_evaluated(*passed))
    assert isinstance(verdict, Approved if all(passed) else Rejected)
    assert from_json(to_json(verdict)) == verdict


def test_no_criterion_is_no_approval():
    assert isinstance(decide(_evaluated()), Rejected)


def test_a_further_criterion_can_still_reject():
    approved = decide(_evaluated(True))
    failed = Criterion(name="serving_equality", observed=1.0, threshold=1e-6, passed=False, reason="differs")
    rejected = decide(approved, failed, refit_sha256="bb")
    assert isinstance(rejected, Rejected)
    assert rejected.reasons == ("differs",)


def test_it_names_the_model_that_may_be_registered():
    plain, again = decide(_evaluated(True)), decide(_evaluated(True), refit_sha256="bb")
    assert (plain.artifact, plain.sha256) == ("candidate", "aa")
    assert (again.artifact, again.sha256, again.candidate_sha256) == ("refit", "bb", "aa")


def test_reasons_of_an_approval_are_all_of_them():
    assert decide(_evaluated(True, True)).reasons == ("reason 0", "reason 1", "note")


@pytest.mark.parametrize("data", [b"", b"{}", b'{"type":"maybe"}', b'{"type":"approved"}'])
def test_anything_else_is_no_verdict(data):
    with pytest.raises(UnreadableVerdict):
        from_json(data)
