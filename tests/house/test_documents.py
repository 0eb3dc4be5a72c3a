"""Documents keep their promises: links lead somewhere, decisions have their three parts, commands exist."""

import re
import subprocess
import tomllib

import pytest
import yaml

from mlops_assets.settings import TELEMETRY_OFF
from tests.conftest import ROOT

LINK = re.compile(r"\[[^\]]*\]\((?!https?://|mailto:|#)([^)#\s]+)")
DOCUMENTS = [
    path for path in ROOT.rglob("*.md") if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
]
DECISIONS = sorted((ROOT / "docs" / "adr").glob("*.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(document):
    missing = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]

    assert missing == []


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_three_parts_on_one_page(decision):
    lines = decision.read_text().splitlines()

    assert lines[0].startswith(f"# {decision.stem[:4]} ")
    assert [line for line in lines if line.startswith("## ")] == ["## Context", "## Decision", "## Consequences"]
    assert len(lines) <= 60


def test_decisions_are_numbered_without_gaps():
    assert [path.stem[:4] for path in DECISIONS] == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]


def test_every_decision_that_is_cited_exists():
    cited = {
        number
        for path in (ROOT / "mlops_assets").rglob("*.py")
        for number in re.findall(r"ADR (\d{4})", path.read_text())
    }

    assert cited <= {path.stem[:4] for path in DECISIONS}


def test_the_glossary_is_in_order():
    rows = (ROOT / "docs" / "glossary.md").read_text().splitlines()
    terms = [row.split("|")[1].strip() for row in rows if row.startswith("|")][2:]

    assert terms == sorted(terms)


def test_make_lists_every_target():
    declared = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = re.findall(r"^  ([a-z]+(?:, [a-z]+)*)  +\S", listed, re.MULTILINE)

    assert ", ".join(names).split(", ") == declared


def test_the_environment_file_explains_every_variable():
    explained = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    read = set(re.findall(r'environ(?:\.get\(|\[)"([A-Z_]+)"', (ROOT / "mlops_assets" / "settings.py").read_text()))

    assert read
    assert read | set(TELEMETRY_OFF) <= explained


@pytest.mark.parametrize("file", [".github/workflows/ci.yml", ".pre-commit-config.yaml"])
def test_ci_and_hooks_call_the_gate_and_nothing_else(file):
    config = yaml.safe_load((ROOT / file).read_text())
    hooks = [hook["entry"] for repo in config.get("repos", []) for hook in repo["hooks"]]
    steps = [step["run"] for job in config.get("jobs", {}).values() for step in job["steps"] if "run" in step]

    assert hooks + steps == ["make check", "make test"]


def test_the_lock_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = next(
        one for one in tomllib.loads((ROOT / "uv.lock").read_text())["package"] if one["name"] == "mlops-assets"
    )
    declared = set(project["project"]["dependencies"])

    assert {_requirement(one) for one in locked["metadata"]["requires-dist"] if "marker" not in one} == set(
        map(_plain, declared)
    )


def _requirement(locked):
    extras = f"[{','.join(locked['extras'])}]" if "extras" in locked else ""
    return _plain(f"{locked['name']}{extras}{locked.get('specifier', '')}")


def _plain(requirement):
    name, specifiers = re.fullmatch(r"([\w.\[\],-]+?)((?:[<>=!~].*)?)", requirement).groups()
    return name.replace("_", "-"), frozenset(specifiers.split(","))
