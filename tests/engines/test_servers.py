"""Interrupted tests leave no server running."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import psutil
import pytest

from engines.conftest import TESTS

STARTS = """
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from engines.servers import running
with running(["sh", "-c", "sleep 300 & sleep 300"], pathlib.Path(sys.argv[1])) as process:
    print(process.pid, flush=True)
    time.sleep(300)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_server_ends_with_the_tests_that_started_it(tmp_path, number):
    command = [sys.executable, "-c", STARTS, str(tmp_path / "log")]
    tests = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=TESTS, text=True)
    server = psutil.Process(int(tests.stdout.readline()))
    for _ in range(100):
        if all_of_it := server.children():
            break
        time.sleep(0.05)
    all_of_it.append(server)
    tests.send_signal(number)
    tests.communicate(timeout=30)
    gone, alive = psutil.wait_procs(all_of_it, timeout=30)
    assert not alive
    assert gone
