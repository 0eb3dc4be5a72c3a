"""One window as a batch: scored part by part, written aside, judged, and only then published.

Keep out: whether its inputs call for an investigation (`monitoring/`, `retraining/`); that is handed in by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.errors import MlopsError
from mlops_assets.lake.files import write_bytes
from mlops_assets.lake.staged import StagedWindow
from mlops_assets.lake.uris import join
from mlops_assets.predictions.contract import Tally, judge
from mlops_assets.predictions.score import batch_scorer, predictions_uri, score_window
from mlops_assets.predictor.outputs import SCORE
from mlops_assets.stats.profile import Profile, profile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from mlops_assets.contract.findings import Finding
    from mlops_assets.lake.windows import Window
    from mlops_assets.predictions.spec import PredictionContractSpec
    from mlops_assets.predictor.artifact import Predictor
    from mlops_assets.stats.grid import Grid

PART_ROWS = 2**18


@dataclass(frozen=True)
class Batch:
    """What is scored: a window of a model, by the version that was routed at its start."""

    lake: str
    model: str
    window: Window
    model_version: int


class PredictionsRefused(MlopsError):
    """The scores of a window break their contract; what was published before is as it was."""

    def __init__(self, batch: Batch, findings: Sequence[Finding], report: str) -> None:
        super().__init__(
            f"{batch.model}/predictions, window {batch.window.key}",
            found="; ".join(f"{one.rule}: {one.detail}" for one in findings),
            required="scores that keep `scoring.contract`",
            remedy="Nothing was published; the window is as it was. Mend the features or the model, or the contract, "
            f"then materialise it again. Report: {report}",
        )


@dataclass(frozen=True)
class Scored:
    """A window that is scored and judged, but not published.

    Attributes:
        staged: Its rows.
        form: What scored them (`score.batch_scorer`).
        findings: One for each condition of the contract.
        profile: Counts on the grid that was asked for.
    """

    staged: StagedWindow
    rows: int
    form: str
    score_mean: float | None
    findings: list[Finding]
    profile: Profile | None

    @property
    def broken(self) -> list[Finding]:
        """Return what keeps the window from being published."""
        return [one for one in self.findings if one.severity == "block" and not one.passed]


def score_batch(
    batch: Batch,
    vectors: Iterable[pa.Table],
    predictor: Predictor,
    *,
    contract: PredictionContractSpec,
    looked_up: Sequence[str],
    grid: Grid | None = None,
) -> Scored:
    """Score the vectors of a window, part by part, and write them beside what is published.

    Args:
        vectors: Parts of the window, at least one, in order.
        looked_up: Names of the features that come from views.
        grid: Count the rows on it as well.

    Raises:
        ReservedColumn: A column has the name of one that scoring adds.
    """
    uri, (form, scorer) = predictions_uri(batch.lake, batch.model), batch_scorer(predictor)
    tally, counted = Tally(looked_up, contract.distinct_min), None
    staged: StagedWindow | None = None
    try:
        for part in _parts(vectors):
            rows = score_window(part, predictor, model_version=batch.model_version, scorer=scorer)
            staged = staged or StagedWindow(uri, batch.window.key, rows.schema)
            staged.write(rows)
            tally.add(rows, rows[SCORE].to_numpy())
            if grid is not None:
                counts = profile(rows, grid)
                counted = counts if counted is None else counted + counts
    except BaseException:
        if staged is not None:
            staged.discard()
        raise
    assert staged is not None  # there was a part
    findings = judge(tally, contract, predictor.manifest.task)
    return Scored(staged, tally.rows, form, tally.mean, findings, counted)


def write_report(batch: Batch, scored: Scored, findings: Sequence[Finding], *, outcome: str) -> str:
    """Keep what was found about a window, whatever became of it; return where.

    Args:
        findings: Those of the contract, and any other that decided on the outcome.
    """
    uri = join(batch.lake, "prediction_reports", batch.model, f"{batch.window.key}.json")
    report: dict[str, Any] = {
        "window": batch.window.key,
        "version": batch.model_version,
        "outcome": outcome,
        "rows": scored.rows,
        "form": scored.form,
        "score_mean": scored.score_mean,
        "findings": [
            {"check": one.rule, "severity": one.severity, "passed": one.passed, "detail": one.detail}
            for one in findings
        ],
        "schema_version": 1,
    }
    write_bytes(uri, msgspec.json.format(msgspec.json.encode(report), indent=1))
    return uri


def _parts(vectors: Iterable[pa.Table]) -> Iterable[pa.Table]:
    """Cut what is too long for one go; a part without rows stays, for it has the columns."""
    for table in vectors:
        for start in range(0, max(1, table.num_rows), PART_ROWS):
            yield table.slice(start, PART_ROWS)
