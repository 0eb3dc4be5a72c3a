"""The facts of the code: what is there is told, what is not is `unknown`."""

import hashlib
import platform
import subprocess

import pytest

from mlops_assets.training.provenance import code_facts, installed, lock_sha256, spec_sha256


def _git(root, *arguments):
    name = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", "-C", root, *name, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def project(tmp_path):
    """A project in a folder of a larger repository."""
    root = tmp_path / "repository" / "project"
    root.mkdir(parents=True)
    _git(tmp_path / "repository", "init", "-q")
    (root / "uv.lock").write_text("locked")
    (root / ".gitignore").write_text(".mlops\n")
    _git(root, "add", ".")
    _git(root, "commit", "-qm", "first")
    return root


def _facts(root):
    return code_facts(root, {"name": "delay"}, dagster_run="r1")


def test_a_clean_checkout(project):
    facts = _facts(project)
    assert facts["commit"] == _git(project, "rev-parse", "HEAD").strip()
    assert facts["commit_is_dirty"] == "false"
    assert facts["lock_sha256"] == hashlib.sha256(b"locked").hexdigest()
    assert facts["spec_sha256"] == hashlib.sha256(b'{"name":"delay"}').hexdigest()
    assert (facts["python"], facts["dagster_run"]) == (platform.python_version(), "r1")
    assert all(isinstance(value, str) for value in facts.values())


@pytest.mark.parametrize(
    ("path", "dirty"), [("uv.lock", "true"), ("new.py", "true"), (".mlops/state", "false"), ("../other.py", "false")]
)
def test_changes_below_the_project_make_it_dirty(project, path, dirty):
    (project / ".mlops").mkdir()
    (project / path).write_text("changed")
    assert _facts(project)["commit_is_dirty"] == dirty


@pytest.mark.parametrize("prepare", [lambda _: None, lambda root: _git(root, "init", "-q")], ids=["none", "empty"])
def test_without_a_commit_it_is_unknown(tmp_path, prepare, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    prepare(tmp_path)
    facts = _facts(tmp_path)
    assert (facts["commit"], facts["lock_sha256"]) == ("unknown", "unknown")


@pytest.mark.parametrize("git", ["absent", "failing"])
def test_without_git_it_is_unknown(project, tmp_path, monkeypatch, git):
    if git == "failing":
        (tmp_path / "git").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    facts = _facts(project)
    assert (facts["commit"], facts["commit_is_dirty"]) == ("unknown", "unknown")


def test_a_folder_that_does_not_exist(tmp_path):
    assert lock_sha256(tmp_path / "nowhere") == "unknown"
    assert _facts(tmp_path / "nowhere")["commit"] == "unknown"


def test_the_file_of_a_model_counts_by_its_content_alone():
    assert spec_sha256({"a": {"x": 1, "y": [1, 2]}, "b": 2}) == spec_sha256({"b": 2, "a": {"y": [1, 2], "x": 1}})
    assert spec_sha256({"a": [1, 2]}) != spec_sha256({"a": [2, 1]})


def test_installed_distributions():
    import numpy as np

    assert f"numpy=={np.__version__}" in installed()
    assert installed() == sorted(set(installed()))
