"""The report and the model card say what is stored, and take nothing in it as markup."""

import re
from datetime import UTC, datetime

import pytest

from mlops_assets.evaluation.evaluate import Evaluation
from mlops_assets.evaluation.report.html import to_html
from mlops_assets.evaluation.report.markdown import code, document, table, text
from mlops_assets.evaluation.report.model_card import Described, render_model_card
from mlops_assets.evaluation.report.report import metrics_table, render_report, write_report
from mlops_assets.evaluation.report.spec import CardSpec
from mlops_assets.evaluation.verdict import Approved, Criterion, Part, Rejected
from mlops_assets.features.labels import LabelCounts
from mlops_assets.features.training_set import Manifest as TrainingSetManifest
from mlops_assets.features.training_set import ViewVersion
from mlops_assets.predictor.manifest import Manifest

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n not really"
RECIPE = {"estimator": "xgboost", "params": {"max_depth": 6}, "seed": 3, "threads": 1, "calibration": None}
FACTS = {"recipe": RECIPE, "trained_through": "2024-03-20T00:00:00+00:00", "test_after": "2024-03-30T00:00:00+00:00"}
MANIFEST = Manifest(
    task="binary",
    features={"size": "numeric", "colour": "categorical"},
    request_inputs=(),
    files={},
    facts=FACTS,
    libraries={},
    types=(),
    lacking={"model.onnx": "TypeError: no converter"},
)
FLOOR = Criterion(name="floor", observed=0.71, threshold=0.6, low=0.69, high=0.73, passed=True, reason="floor: 0.71")
WORSE = Criterion(
    name="slices/carrier", observed=0.2, threshold=0.1, passed=False, reason="slices: AA|B is worse by 0.2",
    parts=(
        Part(name="AA|B", rows=300, observed=0.5, gap=0.2, low=0.15, high=0.25, passed=False),
        Part(name="UA", rows=12, observed=None, note="fewer than 200 rows"),
    ),
)  # fmt: skip
METRICS = {
    "validation_logloss": 0.3,
    "validation_roc_auc": 0.75,
    "test_roc_auc": 0.71,
    "test_rows": 4000.0,
    "train_rows": 9000.0,
}


def verdict(kind=Rejected, criteria=(FLOOR, WORSE)):
    return kind(candidate_id="c1", criteria=criteria, notes=("read twice",), candidate_sha256="aa11", evaluated_at=NOW)


def described(**said):
    training_set = TrainingSetManifest(
        sha256="ff", as_of=NOW, rows=900, labels=LabelCounts(900, 5, 100, 7), features={}, spine_definition="s",
        request_sha256=None, sources={"shop/orders": 4}, views={"customer": ViewVersion(9, "d", {})}, libraries={},
    )  # fmt: skip
    return Described(
        name="returns", version=3, description="Will it come back?", owners=["team:ml"], said=CardSpec(**said),
        manifest=MANIFEST, training_set=training_set, verdict=verdict(Approved), metrics=METRICS,
        lineage={"mlops/commit": "abc123"}, registered_at=NOW,
    )  # fmt: skip


def test_the_report_names_every_criterion_with_its_numbers_and_the_failed_first():
    report = render_report("returns", verdict(), manifest=MANIFEST, metrics=METRICS, pictures=["test_roc"])
    criteria = report.split("## Slices")[0]
    rows = [line for line in criteria.splitlines() if line.startswith(("| ✓", "| ✗"))]
    assert rows == [
        "| ✗ failed | slices/carrier | 0.2 |  | 0.1 |",
        "| ✓ passed | floor | 0.71 | 0.69 to 0.73 | 0.6 |",
    ]
    assert "- slices: AA\\|B is worse by 0.2" in report
    assert "- floor: 0.71" not in report  # a passed criterion is no reason against it
    assert "![test\\_roc](test_roc.png)" in report
    assert "| ✗ failed | AA\\|B | 300 | 0.5 | 0.2 | 0.15 to 0.25 |  |" in report
    assert "| not judged | UA | 12 |  |  |  | fewer than 200 rows |" in report
    assert "- read twice" in report
    assert "`aa11`" in report


def test_metrics_stand_side_by_side():
    assert metrics_table(METRICS).splitlines()[2:] == ["| rows |  | 4000 |", "| roc\\_auc | 0.75 | 0.71 |"]


def test_the_card_has_facts_and_what_the_file_says():
    card = render_model_card(described(intended_use="Plan the returns desk.", limits=["Not for gifts."]))
    assert "## Intended use\n\nPlan the returns desk." in card
    assert "## Out of scope\n\nThe model's file does not say." in card
    assert "- Not for gifts." in card
    assert "10.0% of the rows were never labelled in time" in card  # 100 of 1000
    assert "7 rows of windows under investigation" in card
    assert "There is no model.onnx: TypeError: no converter." in card
    assert "| features/customer | 9 |" in card
    assert "| shop/orders | 4 |" in card
    assert "- mlops/commit: `abc123`" in card
    assert "| max\\_depth | 6 |" in card
    assert "### slices/carrier" in card


HOSTILE = ["<script>alert(1)</script>", "a | b", "`x`", "![x](http://evil)", "[l](javascript:x)", "# head", "*b*"]


@pytest.mark.parametrize("value", HOSTILE)
def test_whatever_stands_in_a_fact_is_shown_and_not_obeyed(value):
    page = to_html(
        document("t", {"": table(("v",), [(value,)]), "two": text(value)}), title=value, pictures={}
    ).decode()
    body = page.split("<main>")[1].split("</main>")[0]
    assert not re.search(r"<(script|img|a |em|code|h3)", body)
    assert body.count("<td>") == 1
    shown = re.sub(r"<[^>]+>", "", body)
    for sign, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        value = value.replace(sign, escaped)
    assert shown.count(value) == 2


def test_code_shows_backticks_and_pipes():
    page = to_html(document("", {"": code("a`b") + "\n\n" + code("plain")}), title="", pictures={}).decode()
    assert "<code>a`b</code>" in page
    assert "<code>plain</code>" in page


def test_the_page_needs_nothing_else(tracking):
    with tracking.run("pages", tags={}) as run:
        run.log_metrics(METRICS)
        uri = write_report(run, "returns", Evaluation(verdict(), MANIFEST, METRICS, {"test_roc": PNG}))
        assert run.read_bytes("report/test_roc.png") == PNG
        assert b"slices/carrier" in (run.read_bytes("report/report.md") or b"")
    page = (run.read_bytes("report/report.html") or b"").decode()
    assert uri.endswith("report/report.html")
    assert "data:image/png;base64," in page
    assert "✗ failed" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
