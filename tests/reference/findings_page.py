"""docs/findings.md: every finding of the runbook's notebooks, with its unit, so that `watch` can be written.

    python tests/reference/findings_page.py RUN     write it, with the units that the run's findings have

RUN is a published run on the demo company, such as reports/latest.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tenure.paths import project_root
from tenure.runs.runbook import Report, read_runbook

PAGE = project_root() / "docs" / "findings.md"
# Findings that the demo company gives no reason to state.
UNSAID = {
    "mrr.elsewhere": ("money", None),
    "pricing.integrity": ("count", "down"),
    "pricing.elasticity": ("number", None),
    "retention_campaigns.integrity": ("count", "down"),
    "win_back.integrity": ("count", "down"),
    "churn_risk.groups": ("count", "down"),
}
BETTER = {"up": "more", "down": "less", None: ""}

HEAD = """# Findings

<!-- Written by `python tests/reference/findings_page.py reports/latest` from the notebooks: change them there. -->

A finding is a number with a name that stays the same over runs. `tenure list` names those of each report, and
`reports/latest/*.findings.json` hold their values, and the runbook can watch them:

    - name: churn_curves
      notebook: 30_churn_curves.ipynb
      watch:
        churn.retention: {min: 0.40}
        churn.median_tenure: {min: 10, max: 30}

Bounds are in the finding's unit, and inclusive. `tenure run` ends with status 3 where one is broken, and `tenure digest`
and the index say so. A name that the notebook does not have is refused before the run, with the nearest one. What the
data cannot answer, or gives no reason to say, has no value, which is out of any bounds.

| unit | a bound is written as |
|---|---|
| percent | a share: 0.05 for 5% |
| money | the smallest unit of the reporting currency: 900000 for €9,000.00 |
| months, days, periods | their number |
| count, number, ratio | the number |
| score | -100 to 100 |

*Better* says which direction is good. In the sentence, braces stand for what is filled in; a finding whose sentence
depends on how it came out has one of them here.
"""


def records(run: Path) -> dict[str, dict]:
    """A run's findings by id."""
    files = sorted(run.glob("*.findings.json"))
    return {record["id"]: record for file in files for record in json.loads(file.read_text(encoding="utf-8"))}


def sentences(report: Report) -> Iterator[tuple[str, str]]:
    """The ids of a notebook's findings, and a sentence of each: the known one, else the first."""
    for cell in json.loads(report.notebook.path.read_text(encoding="utf-8"))["cells"]:
        tree = ast.parse("".join(cell["source"])) if cell["cell_type"] == "code" else ast.Module([], [])
        assigned = [
            (node.lineno, target.id, node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        ]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "finding":
                id, words = node.args[:2]
                if isinstance(words, ast.Name):
                    before = [one for one in assigned if one[0] < node.lineno and one[1] == words.id]
                    words = max(before, key=lambda one: one[0])[2]
                yield ast.literal_eval(id), sentence(words)


def sentence(words: ast.expr) -> str:
    """One of the sentences that an expression may come to."""
    while isinstance(words, ast.IfExp):
        words = words.body
    found = ast.literal_eval(words)
    if isinstance(found, str):
        return found
    cases = [found.get("known", ""), *found.values()]
    return next((case for case in cases if "{value" in case or "{size" in case), cases[1])


def page(run: Path) -> str:
    """The page, with the units that the findings of a run have."""
    found, lines = records(run), [HEAD]
    for report in read_runbook(project_root() / "notebooks" / "runbook.yml").reports:
        lines += [f"## {report.name}", "", f"{report.title}", ""]
        lines += ["| finding | unit | better | what it says |", "|---|---|---|---|"]
        said = dict(sentences(report))
        assert tuple(said) == report.notebook.findings
        for id, words in said.items():
            unit, better = (
                (found[id]["unit"], found[id]["better"]) if id in found else UNSAID.get(id, ("", None))
            )
            plain = re.sub(r"\{(\w+)(:[^}]*)?\}", r"{\1}", words).replace("|", r"\|")
            lines.append(f"| `{id}` | {unit.partition(':')[0]} | {BETTER[better]} | {plain} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(Path(sys.argv[1])), encoding="utf-8")
