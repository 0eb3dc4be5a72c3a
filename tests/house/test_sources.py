"""What every tracked file keeps to, beyond what the linters see."""

import ast
import re
import subprocess

import pytest

from tests.conftest import ROOT

REGISTRIES = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|deb\.debian\.org|crates\.io|proxy\.golang\.org"
)
MACHINE_PATHS = re.compile(r"(?<![\w.}>])/(?:work|root|home|Users|opt)/\w")
MODULES = sorted([*(ROOT / "mlops_assets").rglob("*.py"), *(ROOT / "dlt_pipelines").rglob("*.py")])
MODULE_LINES = 250
FUNCTION_LINES = 40
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


@pytest.fixture(scope="module")
def tracked_texts():
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in names.split("\0") if name and name != "uv.lock"]
    return {path: path.read_bytes().decode(errors="replace") for path in paths if path.is_file()}


@pytest.mark.parametrize("pattern", [REGISTRIES, MACHINE_PATHS], ids=["registries", "machine paths"])
def test_no_file_names_a_registry_or_a_place_on_one_machine(tracked_texts, pattern):
    found = {
        str(path.relative_to(ROOT)): match[0] for path, text in tracked_texts.items() if (match := pattern.search(text))
    }

    assert len(tracked_texts) > 100
    assert found == {}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_one_idea_in_short_functions(path):
    text = path.read_text()
    tree = ast.parse(text)
    sizes = {one.name: _own_lines(one) for one in ast.walk(tree) if isinstance(one, FUNCTION)}

    assert ast.get_docstring(tree) or not text.strip()
    assert len(text.splitlines()) <= MODULE_LINES
    assert {name: lines for name, lines in sizes.items() if lines > FUNCTION_LINES} == {}


def _own_lines(function):
    """Count the lines of the body, less its docstring and the functions inside it, which are counted by themselves."""
    parts = function.body[1:] if ast.get_docstring(function) else function.body
    inner = [one for part in parts for one in ast.walk(part) if isinstance(one, FUNCTION)]
    return sum(map(_lines, parts)) - sum(map(_lines, inner))


def _lines(node):
    return node.end_lineno - node.lineno + 1
