"""Relative paths mean the same from every folder."""

from __future__ import annotations

from pathlib import Path

from tenure.paths import project_root, resolve


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
