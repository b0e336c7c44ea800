"""The costly measures at a million events stay near the distinct count that they cannot do without.

The whole, at a hundred million, is `make scale`; TENURE_SCALE_CUSTOMERS makes this larger.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tenure_demo import write_demo

HERE = Path(__file__).parent
CUSTOMERS = int(os.environ.get("TENURE_SCALE_CUSTOMERS", 100_000))
# How many times the cost of its distinct count a measure may take: twice what it did when this was written.
MOST = {"engagement.active_days": 6, "engagement.days_used": 8, "purchases.grouped_counts": 8}

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(
        not Path("/proc/self/status").exists(), reason="Peak memory is read from /proc, as Linux has it."
    ),
]


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scale") / "company"
    write_demo(folder, customers=CUSTOMERS)
    return folder


def measured(program: str, *arguments: object, **environment: str) -> dict:
    command = [sys.executable, str(HERE / program), *map(str, arguments)]
    bounds = {"TENURE_THREADS": "2", "TENURE_MEMORY_LIMIT": "4GB", **environment}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **bounds})
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", list(MOST))
def test_a_measure_stays_near_its_floor(company, name):
    ours = measured("one.py", company, name)
    theirs = measured("others.py", company, name, "pandas")
    ratio = ours["measure"]["cpu"] / ours["floor"]["cpu"]
    print(f"\n{name}: {ratio:.1f} times its floor, {ours['measure']['cpu'] / theirs['cpu']:.2f} of pandas")
    assert ours["measure"]["rows"] == theirs["rows"]
    assert ratio < MOST[name]
    assert ours["measure"]["cpu"] < theirs["cpu"]


def test_little_memory_changes_no_answer(company):
    ample = measured("one.py", company, "engagement.active_days")["measure"]
    tight = measured("one.py", company, "engagement.active_days", TENURE_MEMORY_LIMIT="60MB")["measure"]
    print(f"\nactive days within 60 MB: {tight['cpu'] / ample['cpu']:.2f} of the time")
    assert tight["rows"] == ample["rows"]
