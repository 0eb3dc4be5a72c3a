"""Features that are made of the request itself; the same code in training, batch scoring and serving."""

import numpy as np


def request_features(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the request's columns as they are, and the time of day on a circle.

    Args:
        columns: Arrays of equal length; `sched_dep_time` is local hhmm.
    """
    hours = columns["sched_dep_time"] // 100 + columns["sched_dep_time"] % 100 / 60
    angle = 2 * np.pi * hours / 24
    kept = {name: columns[name] for name in ("carrier", "origin", "dest", "distance", "month", "weekday")}
    return {**kept, "dep_hour": hours, "dep_sin": np.sin(angle), "dep_cos": np.cos(angle)}
