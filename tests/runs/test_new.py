"""`tenure new`: what it makes is whole, and its tests fail when a formula is changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from tenure.errors import InputError
from tenure.paths import project_root
from tenure.runs.new import new_workbook

ROOT = project_root()
QUESTION = "Who churns in the first three months?"


@pytest.fixture
def clone(tmp_path):
    """The project's own code, notebooks and tests, in a folder that may be written to."""
    for folder in ("lib", "notebooks", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def python(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TENURE_ROOT": str(clone), "PYTHONPATH": str(clone / "lib")}
    return subprocess.run(
        [sys.executable, *arguments], cwd=clone, env=environment, capture_output=True, text=True
    )


def changed(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, file
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_it_writes_all_that_a_workbook_has(clone):
    written = new_workbook(clone, "early_churn", QUESTION)
    notebook = nbformat.read(written[0], as_version=4)
    nbformat.validate(notebook)
    assert QUESTION in notebook.cells[0].source
    entries = yaml.safe_load((clone / "notebooks" / "runbook.yml").read_text(encoding="utf-8"))["reports"]
    assert entries[-1] == {"name": "early_churn", "notebook": written[0].name}
    assert "early_churn.share" in yaml.safe_load((clone / "tests/reference/ideas.yml").read_text())["unique"]
    for place in (
        "lib/tenure/measures",
        "lib/tenure/models",
        "tests/measures",
        "tests/models",
        "tests/engines",
    ):
        assert list((clone / place).glob("*early_churn.py")), place
    checked = python(clone, "-m", "ruff", "check", "--quiet", ".")
    assert checked.returncode == 0, checked.stdout
    with pytest.raises(InputError, match="already"):
        new_workbook(clone, "early_churn", QUESTION)


@pytest.mark.parametrize(
    ("name", "question", "words"),
    [
        ("Early-Churn", QUESTION, "lower-case"),
        ("early_churn", "Churn.", "ends in `?`"),
        ("churn_curves", QUESTION, "already"),
        ("revenue", QUESTION, "already"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_written(clone, name, question, words):
    before = {path: path.stat().st_mtime_ns for path in clone.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=words.replace("?", r"\?")):
        new_workbook(clone, name, question)
    assert {path: path.stat().st_mtime_ns for path in clone.rglob("*") if path.is_file()} == before


@pytest.mark.edge
def test_its_report_is_published_and_its_tests_hold_its_formulas(clone):
    from tenure_demo import write_demo

    write_demo(clone / "data" / "demo", customers=2000)
    new_workbook(clone, "early_churn", QUESTION)
    ran = python(clone, "-c", "from tenure.cli import main; main(['run', 'early_churn'])")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads((clone / "reports" / "latest" / "early_churn.findings.json").read_text())
    assert found[0]["low"] < found[0]["value"] < found[0]["high"]

    pytest_ = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
    tests = ("tests/models/test_early_churn.py", "tests/measures/test_early_churn.py")
    good = python(clone, *pytest_, *tests, "tests/notebooks/test_rules.py")
    assert good.returncode == 0, good.stdout
    changed(
        clone / "lib/tenure/models/early_churn.py",
        'rows["events"] / rows["customers"]',
        'rows["events"] / 200',
    )
    assert python(clone, *pytest_, tests[0]).returncode == 1
    changed(clone / "lib/tenure/measures/early_churn.py", "<= days)", "< days)")
    assert python(clone, *pytest_, tests[1]).returncode == 1
