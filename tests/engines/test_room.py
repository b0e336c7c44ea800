"""A run that has too little room ends in a sentence that says what to do."""

from __future__ import annotations

import os
import signal

import pytest

from engines.companies import AS_OF
from notebooks.running import run_notebook
from tenure.runs.kernels import Kernels

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def kernels():
    with Kernels() as source:
        yield source


def test_an_engine_without_room_says_what_to_do(company, kernels, tmp_path, monkeypatch):
    monkeypatch.setenv("TENURE_MEMORY_LIMIT", "6MiB")
    monkeypatch.setenv("TENURE_TEMP_LIMIT", "1MiB")
    parameters = {"data": str(company), "as_of": str(AS_OF)}
    outcome = run_notebook("30_churn_curves.ipynb", parameters, kernels, tmp_path)
    assert outcome.state == "failed"
    assert "the engine ran out of room" in outcome.reason
    assert "TENURE_MEMORY_LIMIT" in outcome.reason
    assert "docs/scale.md" in outcome.reason
    assert "\n" not in outcome.reason


def test_a_little_room_is_enough(company, kernels, tmp_path, monkeypatch):
    monkeypatch.setenv("TENURE_MEMORY_LIMIT", "200MiB")
    parameters = {"data": str(company), "as_of": str(AS_OF)}
    assert run_notebook("30_churn_curves.ipynb", parameters, kernels, tmp_path).state == "ok"


def test_a_kernel_that_the_system_kills_says_what_to_do(company, kernels, tmp_path, monkeypatch):
    # What the system does to a process that takes more memory than there is.
    started = Kernels._register
    monkeypatch.setattr(
        Kernels, "_register", lambda self, pid: (started(self, pid), os.kill(pid, signal.SIGKILL))[0]
    )
    outcome = run_notebook("30_churn_curves.ipynb", {"data": str(company)}, kernels, tmp_path)
    assert outcome.state in ("died", "failed")
    assert "The kernel died" in outcome.reason
    assert "Fix: " in outcome.reason
    assert "--jobs 1" in outcome.reason
