"""Shares of things that come in clusters: many requests of one customer say less than as many of different ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Vector = np.ndarray[Any, Any]


def design_effect(hits: Vector, trials: Vector) -> float:
    """Return by how much clusters that are alike widen the variance of a share, at least 1.

    The variance of the ratio of sums over clusters, by the binomial one. A test for independent trials holds if both hits and
    trials are divided by it (Rao and Scott 1992, A simple method for the analysis of clustered binary data).

    Args:
        hits: By cluster, how many of its trials were one, int64.
        trials: By cluster, at least 1, int64.

    >>> import numpy as np
    >>> design_effect(np.array([0, 1, 0, 0]), np.array([1, 1, 1, 1]))  # nothing is known of clusters of one
    1.0
    >>> round(design_effect(np.array([0, 50, 0, 0]), np.array([50, 50, 50, 50])), 2)
    66.67
    """
    clusters, total = len(trials), int(trials.sum())
    if clusters == 1:
        return float(total)
    if clusters in (0, total):
        return 1.0
    share = hits.sum() / total
    if share in (0, 1):
        return 1.0
    spread = float(((hits - share * trials) ** 2).sum()) * clusters / (clusters - 1)
    return max(spread / float(total * share * (1 - share)), 1.0)


def counted_by(clusters: Vector, is_hit: Vector) -> tuple[Vector, Vector]:
    """Return hits and trials by cluster, for `design_effect`.

    Args:
        clusters: Of each trial, its cluster.
        is_hit: Of each trial, bool.
    """
    import numpy as np

    _, place = np.unique(clusters, return_inverse=True)
    return np.bincount(place, weights=is_hit).astype(int), np.bincount(place)
