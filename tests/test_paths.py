"""Relative paths mean the same from every folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenure.paths import project_root, resolve, typed


def test_the_root_holds_the_project_from_any_folder(tmp_path, monkeypatch):
    here = project_root()
    assert (here / "pyproject.toml").is_file()
    assert (here / "notebooks").is_dir()
    monkeypatch.chdir(tmp_path)
    assert project_root() == here


def test_a_root_can_be_given(tmp_path, monkeypatch):
    monkeypatch.setenv("TENURE_ROOT", str(tmp_path))
    assert project_root() == tmp_path.resolve()
    assert resolve("data/mine") == tmp_path.resolve() / "data" / "mine"
    assert resolve(Path("data")) == tmp_path.resolve() / "data"


def test_absolute_paths_and_the_home_folder_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve(tmp_path / "x") == tmp_path / "x"
    assert resolve("~/x") == tmp_path / "x"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("mine", "{here}/mine"),  # in the shell's folder only
        ("both", "{here}/both"),  # in both: the shell's
        ("data/demo", "data/demo"),  # in the project only
        ("nowhere", "{here}/nowhere"),
        ("../project/data/demo", "data/demo"),  # what is in the project reads as it does in its files
        ("{root}/data/demo", "data/demo"),
        ("file://mine", "file://{here}/mine"),
        ("duckdb://mine", "duckdb://{here}/mine"),
        ("spark://host:7077/shop", "spark://host:7077/shop"),
        ("${SHOP}", "${SHOP}"),
        ("", ""),
    ],
)
def test_what_is_typed_counts_from_the_shells_folder(text, meant, tmp_path, monkeypatch):
    root, here = tmp_path / "project", tmp_path / "shell"
    for folder in (root / "data" / "demo", root / "both", here / "both", here / "mine"):
        folder.mkdir(parents=True)
    monkeypatch.setenv("TENURE_ROOT", str(root))
    monkeypatch.chdir(here)
    filled, expected = (
        each.replace("{root}", str(root)).replace("{here}", str(here)) for each in (text, meant)
    )
    assert typed(filled) == expected
