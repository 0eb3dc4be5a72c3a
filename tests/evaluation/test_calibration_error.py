"""The expected calibration error against pandas, and what chance makes of a perfect model."""

import numpy as np
import pandas as pd
import pytest

from mlops_assets.evaluation.calibration_error import calibration_error
from mlops_assets.evaluation.rows import TestRows
from mlops_assets.evaluation.spec import GateSpec
from mlops_assets.stats.bootstrap import Blocks

SPEC = GateSpec(replicates=400)


def _judge(y, scores, limit=0.1):
    blocks = np.repeat(np.arange(20), len(y) // 20)
    rows = TestRows(y, scores, None, None, scores, blocks)
    return calibration_error(rows, limit, blocks=Blocks.of(blocks, replicates=400, seed=0), spec=SPEC)


def _expected(hits, scores):
    rows = pd.DataFrame({"hit": hits, "score": scores, "bin": pd.qcut(scores, 10, duplicates="drop")})
    bins = rows.groupby("bin", observed=True).agg(hit=("hit", "mean"), score=("score", "mean"), rows=("hit", "size"))
    return float((abs(bins.hit - bins.score) * bins.rows).sum() / len(rows))


@pytest.mark.parametrize("digits", [1, 2, 9])
def test_it_equals_bins_of_equal_count_in_pandas(digits):
    rng = np.random.default_rng(0)
    scores = np.round(rng.random(2000), digits)
    y = (rng.random(2000) < scores**2).astype(float)
    found = _judge(y, scores)
    assert found.observed == pytest.approx(_expected(y, scores))
    assert found.low < found.observed
    assert not found.passed
    assert "Set `training.calibration`" in found.reason


def test_of_several_classes_the_most_probable_one_is_asked():
    rng = np.random.default_rng(1)
    scores = rng.dirichlet([1, 1, 1], 2000)
    y = np.array([rng.choice(3, p=one) for one in scores]).astype(float)
    found = _judge(y, scores)
    assert found.observed == pytest.approx(_expected(scores.argmax(axis=1) == y, scores.max(axis=1)))
    assert found.passed


def test_the_reason_says_what_a_perfect_model_would_show():
    rng = np.random.default_rng(2)
    scores = rng.random(4000)
    simulated = np.mean([_expected(rng.random(4000) < scores, scores) for _ in range(60)])
    said = float(_judge((rng.random(4000) < scores).astype(float), scores).reason.split("about ")[1].split()[0])
    assert said == pytest.approx(simulated, rel=0.15)
