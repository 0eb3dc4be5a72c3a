"""A part of the rows that falls behind is named; one that chance explains is not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import mean_absolute_error, roc_auc_score

from mlops_assets.evaluation.rows import TestRows, group_of_rows
from mlops_assets.evaluation.slices import slices
from mlops_assets.evaluation.spec import GateSpec, SliceSpec
from mlops_assets.stats.bootstrap import Blocks

DAYS, PER_DAY = 28, 60
SPEC = GateSpec(replicates=400)


def _rows(weak=("c",), seed=0, groups=("a", "b", "c")):
    """Return binary rows of groups, of which the weak ones are scored at random."""
    rng = np.random.default_rng(seed)
    count = DAYS * PER_DAY
    y, group = rng.integers(0, 2, count).astype(float), rng.choice(groups, count)
    skill = np.where(np.isin(group, weak), 0.0, 1.5)
    scores = 1 / (1 + np.exp(-(skill * (2 * y - 1) + rng.normal(size=count))))
    blocks = np.repeat(np.arange(DAYS), PER_DAY)
    return TestRows(y, scores, None, None, np.full(count, 0.5), blocks, {"carrier": group})


def _judge(rows, metric: Any = "roc_auc", **gate: Any):
    one = SliceSpec(**{"by": "carrier", "max_gap": 0.1, **gate})
    return slices(rows, one, metric, blocks=Blocks.of(rows.blocks, replicates=400, seed=0), spec=SPEC)


def _part(criterion, name) -> Any:
    return next(part for part in criterion.parts if part.name == name)


def test_the_weak_slice_is_named_with_its_metric_and_its_gap():
    rows = _rows()
    found = _judge(rows)
    is_weak = rows.groups["carrier"] == "c"
    weak, whole = (roc_auc_score(rows.y[of], rows.candidate[of]) for of in (is_weak, slice(None)))
    assert not found.passed
    assert (found.name, found.kind, found.metric, found.threshold) == ("slices_carrier", "slices", "roc_auc", 0.1)
    assert found.observed == pytest.approx(whole - weak)
    assert 0 < found.low < found.observed < found.high
    assert (_part(found, "c").observed, _part(found, "c").rows) == (pytest.approx(weak), is_weak.sum())
    assert [part.passed for part in found.parts] == [False, True, True]
    assert f"c ({is_weak.sum()} rows) has roc_auc {weak:.4g}, worse by" in found.reason
    assert " a (" not in found.reason


def test_alike_slices_pass_and_the_worst_is_still_told():
    found = _judge(_rows(weak=()))
    assert found.passed
    assert found.observed == max(part.gap for part in found.parts)
    assert "required a gap <= 0.1" in found.reason


def test_a_gap_within_the_limit_passes_however_sure_it_is():
    assert _judge(_rows(), max_gap=0.9).passed


def test_a_loss_is_worse_where_it_is_larger():
    rng = np.random.default_rng(0)
    y, group = rng.normal(size=1200), np.tile(["a", "b"], 600)
    scores = y + np.where(group == "b", 2.0, 0.5) * rng.normal(size=1200)
    rows = TestRows(y, scores, None, None, np.zeros(1200), np.repeat(np.arange(20), 60), {"carrier": group})
    found = _judge(rows, "mae", max_gap=0.3)
    expected = mean_absolute_error(y[group == "b"], scores[group == "b"]) - mean_absolute_error(y, scores)
    assert not found.passed
    assert found.observed == pytest.approx(expected)


def test_small_slices_and_those_of_one_class_or_few_days_are_shown_not_judged():
    rows = _rows(weak=())
    group = rows.groups["carrier"].copy().astype("<U12")
    group[rows.y == 1] = np.where(np.arange((rows.y == 1).sum()) % 2, "one class", group[rows.y == 1])
    group[:30], group[1000:1300] = "small", "one week"
    found = _judge(replace(rows, groups={"carrier": group}))
    notes = {part.name: part.note for part in found.parts if part.passed is None}
    assert notes == {
        "small": "fewer than 200 rows",
        "one week": "6 blocks, fewer than 10",
        "one class": "undefined: its rows have one class only",
    }
    assert _part(found, "one class").observed is None
    assert 0.5 < _part(found, "small").observed <= 1


def test_no_slice_that_can_be_judged_passes_and_says_so():
    found = _judge(_rows(), min_rows=10_000)
    assert (found.passed, found.observed) == (True, None)
    assert "no slice is large enough to be judged" in found.reason


def test_many_small_slices_do_not_refuse_by_chance():
    """By chance the worst of 20 slices is far behind; each interval alone would refuse nearly half of the candidates."""
    groups = [f"g{number}" for number in range(20)]
    rows = [_rows(weak=(), seed=seed, groups=groups) for seed in range(40)]
    found = [_judge(one, "log_loss", max_gap=0.01, min_rows=50) for one in rows]
    assert min(criterion.observed for criterion in found) > 0.01
    assert sum(not criterion.passed for criterion in found) <= 4


def test_numbers_are_cut_at_quartiles_and_no_value_is_a_slice_of_its_own():
    values = [*range(1, 101), None, float("nan")]
    found = group_of_rows(pa.table({"size": pa.array(values, pa.float64())}), "size").tolist()
    assert found[:25] == ["<= 25.75"] * 25
    assert found[25:50] == ["25.75 to 50.5"] * 25
    assert found[75:100] == ["> 75.25"] * 25
    assert found[100:] == ["missing"] * 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, None], ["0", "1", "missing"]),
        ([True, None, False], ["true", "missing", "false"]),
        (["x", None], ["x", "missing"]),
    ],
)
def test_few_values_are_their_own_slices(values, expected):
    assert group_of_rows(pa.table({"size": values}), "size").tolist() == expected
