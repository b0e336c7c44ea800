"""Making a new workbook: notebook, runbook entry, measure, model, tests and an engine case, from templates.

What is made answers a question of its own right away, how many new customers churn early, so that it runs, is
published and is tested before a line is changed. docs/your_workbook.md walks through changing it.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

from tenure.errors import InputError

_TEMPLATES = Path(__file__).with_name("template")
_FILES = {
    "measure.py.j2": "lib/tenure/measures/{name}.py",
    "model.py.j2": "lib/tenure/models/{name}.py",
    "test_measure.py.j2": "tests/measures/test_{name}.py",
    "test_model.py.j2": "tests/models/test_{name}.py",
    "test_notebook.py.j2": "tests/notebooks/test_{name}.py",
    "cases.py.j2": "tests/engines/cases_{name}.py",
}


def new_workbook(root: Path, name: str, question: str) -> list[Path]:
    """Write the files of a workbook that answers a question, and enter it in the runbook.

    Args:
        root: The project's folder, with lib/tenure, notebooks and tests.
        name: What its modules and its report are called: lower-case letters, digits and underscores.
        question: The question it answers, as its reader would ask it.

    Returns:
        The files that were written or added to; the notebook first.

    Raises:
        InputError: The name is none or taken, the question is none, or the project's own code is not here.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    question = " ".join(question.split())
    if not re.fullmatch(r"[a-z][a-z0-9_]{2,29}", name):
        raise InputError(
            f"A workbook's name is of 3 to 30 lower-case letters, digits and `_`, but it is {name!r}. "
            "Fix: choose another."
        )
    if not re.fullmatch(r"[^\"\\\\]{9,98}\?", question):
        raise InputError(
            f"--question takes one question of 10 to 99 letters, without quotes, that ends in `?`, but it is "
            f"{question!r}. Fix: correct it."
        )
    if not (root / "lib" / "tenure" / "measures").is_dir() or not (root / "tests" / "engines").is_dir():
        raise InputError(f"{root} does not hold Tenure's own code. Fix: work in a clone of the project.")
    runbook = root / "notebooks" / "runbook.yml"
    known = {entry["name"] for entry in yaml.safe_load(runbook.read_text(encoding="utf-8"))["reports"]}
    numbers = [int(path.name[:2]) for path in (root / "notebooks").glob("[0-9][0-9]_*.ipynb")]
    file = f"{max(numbers, default=0) // 10 * 10 + 10}_{name}.ipynb"
    paths = {template: root / place.format(name=name) for template, place in _FILES.items()}
    taken = [
        path for path in (*paths.values(), *(root / "notebooks").glob(f"*_{name}.ipynb")) if path.exists()
    ]
    if name in known or taken:
        where = taken[0].relative_to(root) if taken else runbook.relative_to(root)
        raise InputError(f"There is a workbook {name!r} already: {where}. Fix: choose another name.")

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True
    )
    words = {"name": name, "question": question, "file": file, "title": name.replace("_", " ").capitalize()}
    made = {
        template: environment.get_template(template).render(words) for template in (*paths, "notebook.py.j2")
    }
    notebook = root / "notebooks" / file
    notebook.write_text(_notebook(made.pop("notebook.py.j2"), name), encoding="utf-8")
    for template, text in made.items():
        paths[template].write_text(text, encoding="utf-8")
    ideas = root / "tests" / "reference" / "ideas.yml"
    with contextlib.suppress(OSError):  # names of any length, in the project's own style
        written = [path for path in paths.values() if path.is_file()]
        subprocess.run(
            [sys.executable, "-m", "ruff", "format", "--quiet", *written], cwd=root, stderr=subprocess.DEVNULL
        )
    for listing, line in (
        (runbook, f"\n  - name: {name}\n    notebook: {file}\n"),
        (ideas, f"  - {name}.share\n"),
    ):
        listing.write_text(f"{listing.read_text(encoding='utf-8').rstrip()}\n{line}", encoding="utf-8")
    return [notebook, runbook, *paths.values(), ideas]


def _notebook(text: str, name: str) -> str:
    """A notebook from cells that are set apart by lines of `# %%` with tags, as JSON without outputs."""
    cells = []
    for number, part in enumerate(re.split(r"^# %%", text, flags=re.MULTILINE)[1:], start=1):
        kind, _, source = part.partition("\n")
        kinds = kind.split()
        prose, tags = "[markdown]" in kinds, [word for word in kinds if word != "[markdown]"]
        cell = {
            "cell_type": "markdown" if prose else "code",
            "id": f"{name.replace('_', '-')[:50]}-{number}",
            "metadata": {"tags": tags} if tags else {},
            "source": source.rstrip("\n").splitlines(keepends=True),
        }
        cells.append(cell if prose else {**cell, "execution_count": None, "outputs": []})
    spec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"kernelspec": spec, "language_info": {"name": "python"}}
    return (
        json.dumps({"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"
    )
