"""The evaluation report: what was asked of a candidate, what was measured, and why it may or may not pass."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.evaluation.report.html import to_html
from mlops_assets.evaluation.report.markdown import bullets, code, document, facts, table, text
from mlops_assets.evaluation.verdict import Approved
from mlops_assets.stats.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlops_assets.evaluation.evaluate import Evaluation
    from mlops_assets.evaluation.verdict import Criterion, Part, Verdict
    from mlops_assets.predictor.manifest import Manifest
    from mlops_assets.training.tracked_run import TrackedRun

FOLDER, REPORT = "report", "mlops/report"
MARKDOWN, HTML = "report.md", "report.html"
PARTS = ("validation", "test")
JUDGED = {True: "✓ passed", False: "✗ failed", None: "not judged"}


def write_report(run: TrackedRun, model: str, evaluation: Evaluation) -> str:
    """Write the report into the candidate's run as Markdown and as HTML, and return where the HTML is."""
    verdict, pictures = evaluation.verdict, evaluation.pictures
    markdown = render_report(
        model, verdict, manifest=evaluation.manifest, metrics=run.metrics(), pictures=list(pictures)
    )
    files = {f"{name}.png": png for name, png in pictures.items()}
    page = to_html(markdown, title=f"{model}: evaluation of {verdict.candidate_id}", pictures=files)
    run.log_files(FOLDER, {MARKDOWN: markdown.encode(), HTML: page, **files})
    uri = run.artifact_uri(f"{FOLDER}/{HTML}")
    run.set_tags({REPORT: uri})  # tags of the run become those of the version
    return uri


def render_report(
    model: str, verdict: Verdict, *, manifest: Manifest, metrics: Mapping[str, float], pictures: Sequence[str]
) -> str:
    """Return the report as Markdown; the pictures stand beside it.

    Args:
        metrics: `<part>_<metric>` of validation and test rows.
        pictures: Their names.
    """
    approved = isinstance(verdict, Approved)
    head = {
        "Verdict": "approved" if approved else "rejected",
        "Candidate": verdict.candidate_id,
        "Evaluated": verdict.evaluated_at,
        "Estimator": manifest.facts["recipe"]["estimator"],
        "Trained through": time(manifest, "trained_through"),
        "Test rows after": time(manifest, "test_after"),
    }
    failed = [one.reason for one in verdict.criteria if not one.passed]
    sections = {
        "": facts(head),
        "Why": bullets(failed or [one.reason for one in verdict.criteria]),
        "Criteria": criteria_table(verdict.criteria),
        "Slices and groups": parts_tables(verdict.criteria),
        "Metrics": metrics_table(metrics),
        "Notes": bullets(verdict.notes),
        "Pictures": "\n".join(f"![{text(name)}]({name}.png)" for name in pictures),
        "Identities": hashes({"judged model": verdict.candidate_sha256, "refitted model": verdict.refit_sha256}),
    }
    return document(f"{model}: evaluation", sections)


def criteria_table(criteria: Sequence[Criterion]) -> str:
    """Return one row for each criterion, those that failed first."""
    ordered = sorted(criteria, key=lambda one: one.passed)
    rows = [(JUDGED[one.passed], one.name, one.observed, _interval(one), one.threshold) for one in ordered]
    return table(("", "criterion", "observed", "interval", "required"), rows)


def parts_tables(criteria: Sequence[Criterion]) -> str:
    """Return a table of the slices or groups behind each criterion that has some."""
    header = ("", "part", "rows", "observed", "behind by", "interval", "note")
    tables = [
        f"### {text(one.name)}\n\n"
        + table(
            header,
            [
                (JUDGED[part.passed], part.name, part.rows, part.observed, part.gap, _interval(part), part.note)
                for part in one.parts
            ],
        )
        for one in criteria
        if one.parts
    ]
    return "\n\n".join(tables)


def metrics_table(metrics: Mapping[str, float]) -> str:
    """Return one row for each metric, one column for each part of the split; what else a run counts is left out."""
    names = [name for name in ("rows", *METRICS) if any(f"{part}_{name}" in metrics for part in PARTS)]
    rows = [(name, *(metrics.get(f"{part}_{name}") for part in PARTS)) for name in names]
    return table(("metric", *PARTS), rows)


def hashes(values: Mapping[str, str | None]) -> str:
    """Return a list of named hashes, unknown ones left out."""
    return "\n".join(f"- {text(name)}: {code(value)}" for name, value in values.items() if value)


def time(manifest: Manifest, fact: str) -> datetime:
    """Return a fact of a saved model that is a time."""
    return datetime.fromisoformat(manifest.facts[fact])


def _interval(one: Criterion | Part) -> str:
    return "" if one.low is None or one.high is None else f"{one.low:.4g} to {one.high:.4g}"
