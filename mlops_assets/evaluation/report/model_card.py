"""The model card of a version (Mitchell et al. 2019), rendered from stored facts and from what its file says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.evaluation.report.html import to_html
from mlops_assets.evaluation.report.markdown import bullets, document, facts, table, text
from mlops_assets.evaluation.report.report import criteria_table, hashes, metrics_table, parts_tables, time
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from mlops_assets.evaluation.report.spec import CardSpec
    from mlops_assets.evaluation.verdict import Verdict
    from mlops_assets.features.training_set import Manifest as TrainingSetManifest
    from mlops_assets.predictor.manifest import Manifest
    from mlops_assets.training.tracked_run import TrackedRun

FOLDER = "model_card"
MARKDOWN, HTML = "model_card.md", "model_card.html"
UNSTATED = "The model's file does not say."


@dataclass(frozen=True)
class Described:
    """A version and everything that its card tells.

    Attributes:
        said: The `card` part of the file.
        metrics: `<part>_<metric>` of validation and test rows.
        lineage: Tags of the version.
    """

    name: str
    version: int
    description: str
    owners: Sequence[str]
    said: CardSpec
    manifest: Manifest
    training_set: TrainingSetManifest
    verdict: Verdict
    metrics: Mapping[str, float]
    lineage: Mapping[str, str]
    registered_at: datetime


def page_uri(artifact_uri: str) -> str:
    """Return where the card of a version is: beside its saved model."""
    return join(artifact_uri.rpartition("/")[0], f"{FOLDER}/{HTML}")


def write_model_card(run: TrackedRun, described: Described) -> str:
    """Write the card into the run as Markdown and as HTML, and return where the HTML is."""
    markdown = render_model_card(described)
    page = to_html(markdown, title=f"{described.name} {described.version}: model card", pictures={})
    run.log_files(FOLDER, {MARKDOWN: markdown.encode(), HTML: page})
    return run.artifact_uri(f"{FOLDER}/{HTML}")


def render_model_card(described: Described) -> str:
    """Return the card as Markdown."""
    said, verdict = described.said, described.verdict
    sections = {
        "": facts(_head(described)),
        "Intended use": text(said.intended_use or UNSTATED),
        "Out of scope": text(said.out_of_scope or UNSTATED),
        "Data": _data(described),
        "Features": table(("feature", "kind"), list(described.manifest.features.items())),
        "Training": _training(described.manifest),
        "Metrics": metrics_table(described.metrics),
        "Gate": criteria_table(verdict.criteria),
        "Slices and groups": parts_tables(verdict.criteria) or "No slice and no group was declared in the gate.",
        "Notes of the gate": bullets(verdict.notes),
        "Limits": bullets([*said.limits, *_limits(described)]),
        "Lineage": hashes(described.lineage),
    }
    return document(f"{described.name}, version {described.version}", sections)


def _head(described: Described) -> dict[str, object]:
    return {
        "What it predicts": described.description,
        "Task": described.manifest.task,
        "Owners": ", ".join(described.owners) or "nobody",
        "Registered": described.registered_at,
        "Candidate": described.verdict.candidate_id,
        "Model that serves": "fitted again on all rows after approval"
        if described.verdict.refit_sha256
        else "as judged",
    }


def _data(described: Described) -> str:
    data, counts = described.training_set, described.training_set.labels
    told = facts(
        {
            "Rows": data.rows,
            "As of": data.as_of,
            "Trained through": time(described.manifest, "trained_through"),
            "Labels pending": counts.pending,
            "Labels censored": counts.censored,
            "Rows held out": counts.held,
        }
    )
    tables = [*data.sources.items(), *((f"features/{name}", view.version) for name, view in data.views.items())]
    return f"{told}\n\n{table(('table', 'Delta version'), sorted(tables))}"


def _training(manifest: Manifest) -> str:
    recipe = manifest.facts["recipe"]
    rows = [(name, value) for name, value in recipe.items() if name != "params" and value not in (None, {}, "")]
    return table(("what", "value"), [*rows, *recipe["params"].items()])


def _limits(described: Described) -> Iterator[str]:
    """Yield the limits that follow from the facts."""
    manifest, counts = described.manifest, described.training_set.labels
    yield f"It knows nothing after {time(manifest, 'trained_through'):%Y-%m-%d %H:%M} UTC; later change is for drift monitoring to find."
    if counts.censored:
        share = counts.censored / max(counts.censored + counts.labelled, 1)
        yield f"{share:.1%} of the rows were never labelled in time and are not in the training data."
    if counts.held:
        yield f"{counts.held:,} rows of windows under investigation were left out."
    for file, reason in manifest.lacking.items():
        yield f"There is no {file}: {reason}."
