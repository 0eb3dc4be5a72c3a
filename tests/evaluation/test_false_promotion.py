"""How often the gate promotes a challenger that is no better: simulated, with and without days that share their luck."""

import numpy as np
import pytest
from scipy.stats import binomtest

from mlops_assets.evaluation.quality import better
from mlops_assets.evaluation.rows import TestRows
from mlops_assets.evaluation.spec import GateSpec
from mlops_assets.stats.bootstrap import Blocks

SPEC = GateSpec(replicates=400)
SURE = 0.01  # the simulations are seeded: one that passes once passes always


def _rows(rng, *, days, per_day, day_effect, champion=0.8, uneven=False):
    """Return rows of a challenger of skill 0.8, and of a champion of the same distribution if its skill is 0.8 too.

    A day moves the outcomes of its rows, and the scores of either model in its own way.
    """
    sizes = np.maximum(rng.lognormal(np.log(per_day), 0.7, days).astype(int), 3) if uneven else np.full(days, per_day)
    day = np.repeat(np.arange(days), sizes)
    signal, luck = rng.normal(size=len(day)), day_effect * rng.normal(size=days)[day]
    y = (rng.random(len(day)) < 1 / (1 + np.exp(-(signal + luck)))).astype(float)

    def scores(skill):
        own = day_effect * rng.normal(size=days)[day]
        return 1 / (1 + np.exp(-(skill * signal + own + 0.5 * rng.normal(size=len(day)))))

    return TestRows(y, scores(0.8), scores(champion), None, np.full(len(day), 0.5), day)


def _promotions(gates, metric, *, seed=0, by_row=False, **world):
    """Return how many of so many challengers the gate promotes."""
    rng, promoted = np.random.default_rng(seed), 0
    for _ in range(gates):
        rows = _rows(rng, **world)
        blocks = Blocks.of(np.arange(len(rows.y)) if by_row else rows.blocks, replicates=SPEC.replicates, seed=0)
        promoted += better(rows, "champion", metric, rows.champion, blocks=blocks, margin=0, spec=SPEC).passed
    return promoted


@pytest.mark.parametrize(("metric", "gates"), [("log_loss", 800), ("roc_auc", 300)])
@pytest.mark.parametrize("day_effect", [0.0, 0.5])
@pytest.mark.parametrize(("days", "uneven"), [(10, False), (28, True)])
def test_an_equally_good_challenger_is_promoted_at_most_as_often_as_declared(metric, gates, day_effect, days, uneven):
    promoted = _promotions(gates, metric, days=days, per_day=30, day_effect=day_effect, uneven=uneven)
    assert binomtest(promoted, gates, SPEC.tail, alternative="greater").pvalue > SURE
    assert promoted > 0  # a gate that nothing passes would hold as well


def test_blocks_of_single_rows_would_promote_far_too_often_when_days_share_their_luck():
    promoted = _promotions(60, "log_loss", by_row=True, days=14, per_day=60, day_effect=1.0)
    assert binomtest(promoted, 60, SPEC.tail, alternative="greater").pvalue < SURE


def test_plain_percentile_intervals_of_ten_days_would_promote_too_often(monkeypatch):
    monkeypatch.setattr("mlops_assets.stats.bootstrap.expanded", lambda tail, blocks: tail)
    promoted = _promotions(800, "log_loss", days=10, per_day=30, day_effect=0.5)
    assert binomtest(promoted, 800, SPEC.tail, alternative="greater").pvalue < SURE


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc"])
def test_a_clearly_better_challenger_is_promoted_most_of_the_time(metric):
    promoted = _promotions(60, metric, days=28, per_day=60, day_effect=0.2, champion=0.2)
    assert promoted > 50
