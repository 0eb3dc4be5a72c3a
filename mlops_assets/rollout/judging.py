"""What a sample of both arms says, metric by metric; the machine decides what follows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlops_assets.rollout.alarms import error_share, null_share, sample_ratio
from mlops_assets.rollout.label_metric import label
from mlops_assets.rollout.latency import latency_p99
from mlops_assets.rollout.prediction_shift import prediction_shift

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlops_assets.rollout.evidence import Judged, Sample
    from mlops_assets.rollout.spec import MetricSpec, MetricsSpec


def judge(sample: Sample, spec: MetricsSpec, *, share: float, is_shadow: bool) -> tuple[Judged, ...]:
    """Return the metrics that are switched on and mean something at the step.

    With all traffic the challenger has no champion beside it: it is compared with what `sample` has of the champion, such as its
    last step, and without any of that only with what needs no comparison.

    Args:
        share: Of the units, that the challenger is to answer.
    """
    judged = _judged(sample, spec, share=share, is_shadow=is_shadow)
    return tuple(replace(one, dry_run=metric.dry_run) for metric, one in judged if one is not None)


def _judged(
    sample: Sample, spec: MetricsSpec, *, share: float, is_shadow: bool
) -> Iterator[tuple[MetricSpec, Judged | None]]:
    arms, is_alone = (sample.champion, sample.challenger), share >= 1 and not is_shadow
    if spec.error_share:
        yield spec.error_share, error_share(*arms, spec.error_share, is_alone=is_alone, is_shadow=is_shadow)
    if spec.latency_p99:
        yield spec.latency_p99, latency_p99(*arms, spec.latency_p99, is_alone=is_alone, is_shadow=is_shadow)
    if spec.prediction_shift:
        yield spec.prediction_shift, prediction_shift(sample, spec.prediction_shift, is_shadow=is_shadow)
    if spec.null_share:
        yield spec.null_share, null_share(*arms, spec.null_share, is_alone=is_alone)
    if spec.sample_ratio and not is_shadow and not is_alone:
        yield spec.sample_ratio, sample_ratio(*arms, spec.sample_ratio, share=share)
    if spec.label:
        yield spec.label, label(sample, spec.label, is_shadow=is_shadow, is_alone=is_alone)
