"""What the gate's bootstrap costs: 2,000 resamples of the AUC of two models on 300k rows in 60 days, in CPU seconds.

- Ours: counts by day and score once, then products of small matrices (`stats.block_metrics`).
- The naive way: each resample weighs every row (`stats.metrics`); measured on fewer rows and resamples, per resample.
- The largest difference between the two over all resamples of 5,000 rows of which nearly every score is another one.
"""

import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from benchmarks.report import at_most, conditions, finish
from mlops_assets.stats.bootstrap import Blocks, paired_interval
from mlops_assets.stats.metrics import METRICS

ROWS, DAYS, REPLICATES = 300_000, 60, 2000
FEW_ROWS, FEW_REPLICATES = 5000, 200
NAIVE_ROWS, NAIVE_REPLICATES = 30_000, 20
ROUNDS = 3
POSITIVE_SHARE = 0.2
GOAL_CPU_S, GOAL_DIFFERENCE = 5.0, 1e-4
RANKING = ("roc_auc", "average_precision")


def main() -> None:
    """Measure both ways, then report the seconds, their ratio and how far apart the results are."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    y, a, b, days = generated(rows)
    figures = {
        f"{name}_cpu_s": cpu_seconds(lambda name=name: ours(name, y, a, b, days, REPLICATES))
        for name in (*RANKING, "log_loss")
    }
    some = generated(NAIVE_ROWS)
    naive = cpu_seconds(lambda: by_rows("roc_auc", *some, NAIVE_REPLICATES)) / NAIVE_REPLICATES
    same = cpu_seconds(lambda: ours("roc_auc", *some, REPLICATES)) / REPLICATES
    figures["naive_over_ours_per_resample"] = naive / same
    few = generated(FEW_ROWS)
    for name in RANKING:
        figures[f"{name}_largest_difference_e6"] = 1e6 * largest_difference(name, *few)
    goals = [
        at_most("roc_auc_cpu_s", figures["roc_auc_cpu_s"], GOAL_CPU_S),
        at_most("roc_auc_largest_difference_e6", figures["roc_auc_largest_difference_e6"], 1e6 * GOAL_DIFFERENCE),
    ]
    under = {**conditions(["numpy", "scipy", "mlops-assets"]), "rows": rows, "days": DAYS, "replicates": REPLICATES}
    finish("gate", figures=figures, goals=goals, under=under)


def generated(rows: int) -> tuple[Any, Any, Any, Any]:
    """Return labels, the scores of two models that are about equally good, and the day of each row."""
    rng = np.random.default_rng(0)
    y = (rng.random(rows) < POSITIVE_SHARE).astype(float)
    signal = y + rng.normal(size=rows)
    a, b = (1 / (1 + np.exp(1 - signal - 0.5 * rng.normal(size=rows))) for _ in range(2))
    return y, a, b, rng.integers(0, DAYS, rows)


def ours(name: str, y: Any, a: Any, b: Any, days: Any, replicates: int) -> None:
    """Return the paired interval as the gate does."""
    paired_interval(METRICS[name], y, a, b, Blocks.of(days, replicates=replicates, seed=0), tail=0.025)


def by_rows(name: str, y: Any, a: Any, b: Any, days: Any, replicates: int) -> Any:
    """Return the differences of resamples, each of which weighs every row."""
    draws = np.random.default_rng(0).multinomial(DAYS, np.full(DAYS, 1 / DAYS), size=replicates)
    of_a, of_b = METRICS[name].prepare(y, a), METRICS[name].prepare(y, b)
    weights = (draw[days].astype(float) for draw in draws)
    return np.array([of_a(weight) - of_b(weight) for weight in weights])


def largest_difference(name: str, y: Any, a: Any, b: Any, days: Any) -> float:
    """Return by how much the difference of a resample is off, at worst."""
    blocks = Blocks.of(days, replicates=FEW_REPLICATES, seed=0)
    of_a, of_b = (blocks.resample(blocks.form(METRICS[name], y, scores)) for scores in (a, b))
    return float(abs(of_a - of_b - by_rows(name, y, a, b, days, FEW_REPLICATES)).max())


def cpu_seconds(program: Callable[[], Any]) -> float:
    """Return the median CPU seconds of a few rounds."""
    taken: list[float] = []
    for _ in range(ROUNDS):
        started = time.process_time()
        program()
        taken.append(time.process_time() - started)
    return median(taken)


if __name__ == "__main__":
    main()
