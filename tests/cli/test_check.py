"""`mlops check`, `new`, `explain`: what a person reads after a mistake, and the exit codes."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app

SHOP = Path(__file__).parents[1] / "shop" / "defs"
FINE, FINDINGS, MISUSE = 0, 1, 2


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHOP, tmp_path / "defs"))


def check(files: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", "--defs", str(files)], env={"COLUMNS": "400"})
    return result.exit_code, result.output


def change(files: Path, name: str, before: str, after: str) -> int:
    """Replace text in a definition and return the 1-based line where it stood."""
    file = files / name / "defs.yaml"
    text = file.read_text()
    assert text.count(before) == 1
    file.write_text(text.replace(before, after))
    return text[: text.index(before)].count("\n") + 1


def test_correct_files_have_no_findings(files: Path) -> None:
    code, output = check(files)

    assert (code, "No findings" in output) == (FINE, True)


@pytest.mark.parametrize(
    ("name", "before", "after", "where", "says"),
    [
        ("returns", "  gate: {floor", "  gate: {flor", "gate.flor", ["an unknown key", "Did you mean `floor`?"]),
        ("returns", "  task: binary", "  task: guess", "task", ["'guess'", "'binary', 'multiclass' or 'regression'"]),
        ("returns", "samples: 3", "samples: many", "leakage_check.samples", ["'many'", "valid integer"]),
        (
            "returns",
            "[customer:mean_amount]",
            "[customer:mean]",
            "features.0",
            ["'customer:mean'", "customer:mean_amount"],
        ),
        (
            "returns",
            "orders: shop/orders",
            "orders: shop/order",
            "spine.sources.orders",
            ["'shop/order'", "shop/orders"],
        ),
        (
            "customer",
            "  entity: [customer]",
            "  entity: [client]",
            "sql",
            ["also client", "Select the missing columns"],
        ),
        ("customer", "avg(amount)", "avg(amonut)", "sql", ["amonut", "Correct the query"]),
        ("shop", "start: 2024-01-07", "start: 2024-01-08", "partitions", ["2024-01-08", "Sunday", "2024-01-07"]),
        ("shop", "source: shop.feed:shop", "source: shop.fed:shop", "source", ["'shop.fed'", "imported"]),
        (
            "shop",
            "key: [order_id]",
            "key: [order_id]\n      python: {schema: no.such:schema}",
            "tables.orders.python.schema",
            ["'no.such'"],
        ),
        (
            "returns",
            "{inputs: [amount, channel]}",
            "{inputs: [amount, channel], file: request.py}",
            "request.file",
            ["no file"],
        ),
    ],
)
def test_a_mistake_is_named_with_file_line_found_required_and_remedy(
    files: Path, name: str, before: str, after: str, where: str, says: list[str]
) -> None:
    line = change(files, name, before, after)
    if where == "sql":  # a query is named by its key
        line = (files / name / "defs.yaml").read_text().partition("  sql:")[0].count("\n") + 1

    code, output = check(files)

    assert code == FINDINGS
    place = next(text for text in output.splitlines() if where in text)
    file, found_line = place.split(" ")[0].rsplit(":", 1)
    assert Path(file) == files / name / "defs.yaml"
    assert int(found_line) in (line, line + 1)  # a key inside braces stands on the line of the brace
    for words in [*says, "found", "required", "remedy"]:
        assert words in output


def test_a_missing_sql_file_is_named(files: Path) -> None:
    file = files / "customer" / "defs.yaml"
    head, _, rest = file.read_text().partition("  sql: |")
    file.write_text(head + "  sql: customer.sql\n" + rest[rest.index("  ttl_days") :])

    code, output = check(files)

    assert code == FINDINGS
    assert str(files / "customer" / "customer.sql") in output


def test_two_files_with_one_name_name_each_other(files: Path) -> None:
    shutil.copytree(files / "customer", files / "other")

    code, output = check(files)

    assert code == FINDINGS
    assert f"'customer', which {files / 'customer' / 'defs.yaml'} uses too" in output
    assert f"'customer', which {files / 'other' / 'defs.yaml'} uses too" in output


def test_files_that_nothing_loads_are_found(files: Path) -> None:
    (files / "stray.yaml").write_text("type: mlops_assets.components.FeatureView\n")
    shutil.copytree(files / "customer", files / "returns" / "below")

    code, output = check(files)

    assert code == FINDINGS
    for stray in (files / "stray.yaml", files / "returns" / "below" / "defs.yaml"):
        assert str(stray) in output


def test_new_writes_a_commented_file_once_and_refuses_bad_names(files: Path) -> None:
    def new(*arguments: str) -> int:
        return CliRunner().invoke(app, ["new", *arguments, "--defs", str(files)]).exit_code

    for kind in ("ingestion", "feature-view", "model"):
        name = kind.replace("-", "_")
        assert new(kind, name) == FINE
        assert f"name: {name}" in (files / name / "defs.yaml").read_text()
    before = (files / "model" / "defs.yaml").read_text()
    assert new("model", "model") != FINE
    assert (files / "model" / "defs.yaml").read_text() == before
    assert new("model", "two__underscores") == MISUSE
    assert new("pipeline", "fine_name") == MISUSE


def test_a_new_file_is_valid_once_its_marks_are_filled_in(files: Path) -> None:
    CliRunner().invoke(app, ["new", "feature-view", "fresh", "--defs", str(files)])
    file = files / "fresh" / "defs.yaml"
    marks = {
        "<orders>: <source>/<table>": "orders: shop/orders",
        "<orders>": "orders",
        "<customer_id>": "customer",
        "<ordered_at>": "ordered_at",
        "<amount>": "amount",
        "<what these features say about the entity>": "What was bought last.",
        "<amount of the last order>": "Amount of the last order.",
    }
    text = file.read_text()
    for mark, word in marks.items():
        text = text.replace(mark, word)
    file.write_text(text)

    code, output = check(files)

    assert code == FINE, output


SOURCE_MARKS = {
    "<what the source holds, and who owns it>": "Parcels.",
    "<one row is ...>": "One parcel.",
    "<table>": "parcels",
    "<id>": "parcel_id",
    "<event_time>": "shipped_at",
    "<value>": "weight_kg",
    "<host>": "parcels.example",
    "<NAME_OF_A_SECRET>": "PARCELS_SECRET",
    "<data>": "data",
    "<s3://bucket/table>": "s3://bucket/parcels",
    "dlt_pipelines.fresh:fresh": "shop.feed:shop",
}


@pytest.mark.parametrize("source", ["rest", "sql", "files", "external", "python"])
def test_a_new_source_of_any_kind_is_valid_once_its_marks_are_filled_in(files: Path, source: str) -> None:
    CliRunner().invoke(app, ["new", "ingestion", "fresh", "--from", source, "--defs", str(files)])
    text = (files / "fresh" / "defs.yaml").read_text()
    for mark, word in SOURCE_MARKS.items():
        text = text.replace(mark, word)
    (files / "fresh" / "defs.yaml").write_text(text)

    code, output = check(files)

    assert "<" not in text
    assert code == FINE, output


def test_only_an_ingestion_has_a_source(files: Path) -> None:
    result = CliRunner().invoke(app, ["new", "model", "fresh", "--from", "sql", "--defs", str(files)])

    assert (result.exit_code, (files / "fresh").exists()) == (MISUSE, False)


def test_version_and_help() -> None:
    runner = CliRunner()

    assert runner.invoke(app, ["--version"]).output.strip()
    helped = runner.invoke(app, ["--help"])
    for command in ("check", "explain", "new", "demo", "up", "serve"):
        assert command in helped.output
    assert runner.invoke(app, ["nonsense"]).exit_code == MISUSE


def test_explain_lists_what_a_file_produces(files: Path) -> None:
    result = CliRunner().invoke(app, ["explain", "returns", "--defs", str(files)], env={"COLUMNS": "300"})

    assert result.exit_code == FINE
    for name in (
        "returns/candidate",
        "returns/evaluation:gate",
        "returns_retrain",
        "returns_retrain_schedule",
        "retraining",
    ):
        assert name in result.output
