"""One source of truth: pyproject.toml, requirements.lock and environment.yml say the same."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tenure.paths import project_root

ROOT = project_root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line.strip()]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())


def pip_section():
    return next(d["pip"] for d in ENVIRONMENT["dependencies"] if isinstance(d, dict))


def locked_here():
    pins = [Requirement(line) for line in LOCK]
    return {canonicalize_name(p.name): p for p in pins if p.marker is None or p.marker.evaluate()}


def test_every_requirement_is_locked_to_a_version_it_allows():
    pins = locked_here()
    extras = PROJECT["optional-dependencies"].values()
    wanted = PROJECT["dependencies"] + [requirement for extra in extras for requirement in extra]
    for requirement in map(Requirement, wanted):
        (version,) = pins[canonicalize_name(requirement.name)].specifier
        assert version.operator == "=="
        assert requirement.specifier.contains(version.version), requirement


def test_the_lock_is_exact_and_names_no_index():
    assert all(re.match(r"[a-z0-9][a-z0-9._-]*==[^=\s]+( ; .+)?$", line) for line in LOCK)
    assert not [
        p for p in ROOT.iterdir() if p.name in ("uv.lock", "poetry.lock", "Pipfile.lock", "conda-lock.yml")
    ]


def test_conda_installs_what_make_does_as_the_lock_says():
    extras = "[dev,postgres]"
    assert pip_section() == ["--constraint requirements.lock", f"--editable .{extras}"]
    makefile = (ROOT / "Makefile").read_text()
    assert "--constraint requirements.lock" in makefile
    assert f"pip install $(INSTALL) --editable '.{extras}'" in makefile
    python = next(d for d in ENVIRONMENT["dependencies"] if str(d).startswith("python "))
    assert python.removeprefix("python ") == PROJECT["requires-python"]


def test_the_pip_section_installs_into_a_fresh_environment(tmp_path):
    uv = shutil.which(os.environ.get("UV", "uv")) or shutil.which(str(ROOT / ".uv/bin/uv"))
    if not uv:
        pytest.skip("uv is not there; `make test` brings it")
    fresh = tmp_path / "venv"
    section = tmp_path / "section.txt"
    section.write_text(
        "\n".join(pip_section()).replace("requirements.lock", str(ROOT / "requirements.lock")) + "\n"
    )
    run = {"cwd": ROOT, "capture_output": True, "text": True}
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, fresh], check=True, **run)
    done = subprocess.run([uv, "pip", "install", "--quiet", "--python", fresh, "-r", section], **run)
    assert done.returncode == 0, done.stderr
    code = (
        "import importlib.util, tenure, pandas, lifelines, psycopg;"
        "assert not importlib.util.find_spec('pyspark');"  # 400 MB that only `make engines` brings
        "print(tenure.__file__, pandas.__version__)"
    )
    said = subprocess.run([fresh / "bin/python", "-c", code], check=True, **run).stdout
    assert str(ROOT / "lib" / "tenure") in said
    assert said.split()[-1] == str(next(iter(locked_here()["pandas"].specifier)).version)
