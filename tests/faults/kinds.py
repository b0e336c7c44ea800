"""Print how many cases of each kind of fault the catalogue has, as the table of docs/reliability.md.

Run it with: python tests/faults/kinds.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

LISTED = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-m", "not benchmark", "tests/faults"]


def kinds() -> Counter[str]:
    """The kinds, each with its number of cases: what stands before the colon in a case's name, else its test."""
    found: Counter[str] = Counter()
    listed = subprocess.run(LISTED, capture_output=True, text=True, check=True).stdout
    for line in filter(lambda line: "::" in line, listed.splitlines()):
        test, _, name = line.partition("::")[2].partition("[")
        kind = re.match("([^:]+): ", name.replace("the parameter ", "a parameter of a workbook: "))
        found[kind[1] if kind else test.removeprefix("test_").replace("_", " ")] += 1
    return found


if __name__ == "__main__":
    counted = kinds()
    print(f"{sum(counted.values())} cases of {len(counted)} kinds\n")
    print("| kind | cases |\n|---|---|")
    for name, n in sorted(counted.items()):
        print(f"| {name} | {n} |")
