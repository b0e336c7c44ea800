"""The pages of docs/ and the README: their commands exist, their files parse, and their script runs."""

from __future__ import annotations

import ast
import configparser
import inspect
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import click
import pytest
import yaml

from tenure import cli, report
from tenure.paths import project_root
from tenure.runs.notebook import read_notebook
from tenure.workbook import Workbook

ROOT = project_root()
PAGES = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCHEDULE = (ROOT / "docs" / "schedule.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = SCHEDULE) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """What a page tells its reader to type: `tenure …` in blocks, and in a line that has more than a name."""
    text = page.read_text(encoding="utf-8")
    inline = re.findall(r"`((?:\.venv/bin/)?tenure [^`\n]+)`", text)
    lines = re.findall(r"(?:^|&& )\s*(\.venv/bin/tenure .+)$", text, re.MULTILINE)
    lines += re.findall(r'(?:run: |bash_command=")(\.venv/bin/tenure [^"\n]+)', text)
    return [re.split(r" [|>]|\|\|| &&", line)[0].rstrip("\\ ") for line in (*inline, *lines)]


ALL = sorted({(page.name, command) for page in PAGES for command in commands(page)})


@pytest.mark.parametrize(("page", "command"), ALL)
def test_a_command_exists_with_its_options(page: str, command: str) -> None:
    name, *arguments = shlex.split(command.split("tenure ", 1)[1])
    found = cli.cli.commands.get(name)
    if found is None:
        assert name.startswith("-"), f"{page}: {command}"
        return
    # A sentence may leave out the value of the option that it speaks of.
    valued = {
        name for each in found.params for name in each.opts if getattr(each, "nargs", 0) and name[0] == "-"
    }
    arguments = [word for word in arguments if word not in ("…", "...")]
    flags = {name for each in found.params if getattr(each, "is_flag", False) for name in each.opts}
    arguments += ["value"] if arguments and arguments[-1] in valued - flags else []
    found.make_parser(click.Context(found)).parse_args(arguments)


def test_commands_were_found() -> None:
    assert len(ALL) > 25
    assert {command.split("tenure ", 1)[1].split()[0] for _, command in ALL} >= {
        "run", "list", "new", "explore", "digest", "export", "check", "init", "demo"
    }  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


def test_what_a_workbook_can_use_is_there() -> None:
    text = (ROOT / "docs" / "your_workbook.md").read_text(encoding="utf-8")
    named = re.findall(r"`(?:with )?(book|report)\.(\w+)(\()?", text)
    known = {*Workbook.__annotations__, *dir(Workbook)}
    assert {name for of, name, _ in named if of == "book"} <= known
    assert len({name for of, name, _ in named if of == "book"}) > 10
    assert {name for of, name, _ in named if of == "report"} <= set(report.__all__)
    for of, name, called in named:
        assert bool(called) == callable(getattr(Workbook if of == "book" else report, name, None)), name
    for call in re.findall(r"`(report\.\w+\(.*?\))`", text):
        node = ast.parse(call, mode="eval").body
        function = getattr(report, node.func.attr)
        inspect.signature(function).bind(*node.args, **{each.arg: each.value for each in node.keywords})


# The files of docs/schedule.md.


def test_lines_of_cron_have_five_fields_and_no_percent_sign() -> None:
    lines = [line for block in blocks("cron") for line in block.splitlines()]
    timed = [line for line in lines if not re.match(r"[A-Z_]+=", line)]
    assert len(timed) == 2
    for line in timed:
        *fields, command = line.split(None, 5)
        assert all(re.fullmatch(r"\*|\d+", field) for field in fields)
        assert len(fields) == 5
        assert "%" not in command  # cron takes it for the end of the line


def test_units_of_systemd_are_sound(tmp_path: Path) -> None:
    service, timer = blocks("ini")
    units = {}
    for name, text in (("service", service), ("timer", timer)):
        units[name] = configparser.ConfigParser(interpolation=None)
        units[name].optionxform = str
        units[name].read_string(text)
        (tmp_path / f"tenure.{name}").write_text(text)
    assert {section: set(units["service"][section]) for section in units["service"].sections()} == {
        "Unit": {"Description", "Wants", "After"},
        "Service": {
            "Type", "User", "WorkingDirectory", "EnvironmentFile", "ExecStart", "SuccessExitStatus", "TimeoutStartSec"
        },
    }  # fmt: skip
    assert {section: set(units["timer"][section]) for section in units["timer"].sections()} == {
        "Unit": {"Description"},
        "Timer": {"OnCalendar", "Persistent"},
        "Install": {"WantedBy"},
    }
    assert units["service"]["Service"]["Type"] == "oneshot"
    assert f"`{units['service']['Service']['ExecStart'].split()[1]}`" in SCHEDULE
    if shutil.which("systemd-analyze"):
        calendar = units["timer"]["Timer"]["OnCalendar"]
        subprocess.run(["systemd-analyze", "calendar", calendar], check=True, capture_output=True)


def test_what_is_to_be_installed_can_be() -> None:
    """No index has a package of ours: extras are those of the clone, and targets of make are there."""
    makefile = (ROOT / "Makefile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert "'tenure[" not in text
        for extra in re.findall(r"pip install --editable '\.\[(\w+)\]'", text):
            assert extra in extras
        for target in re.findall(r"(?:`|^    )make ([a-z-]+)", text, re.MULTILINE):
            assert f"\n{target}:" in makefile, f"{page.name}: make {target}"


def test_the_workflow_of_github_is_sound() -> None:
    [text] = blocks("yaml")
    workflow = yaml.load(text, yaml.BaseLoader)
    assert len(workflow["on"]["schedule"][0]["cron"].split()) == 5
    assert "workflow_dispatch" in workflow["on"]
    [job] = workflow["jobs"].values()
    assert job["runs-on"] == "ubuntu-latest"
    for step in job["steps"]:
        assert ("uses" in step) != ("run" in step)
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/x@v1"))
    [setup] = [step["run"].split()[1] for step in job["steps"] if step.get("run", "").startswith("make")]
    assert f"\n{setup}:" in (ROOT / "Makefile").read_text()


def test_the_dags_of_airflow_say_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow is a large installation: its classes are replaced by ones that keep what they are given."""
    made: list[tuple[str, dict]] = []

    class Operator:
        def __init__(self, **given: object):
            made.append((type(self).__name__, given))

        def __rshift__(self, other: object) -> object:
            return other

    class DAG(Operator):
        def __init__(self, name: str, **given: object):
            super().__init__(name=name, **given)

        def __enter__(self) -> object:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    places = {
        "airflow.sdk": {"DAG": DAG},
        "airflow.providers.standard.operators.bash": {"BashOperator": type("BashOperator", (Operator,), {})},
        "airflow.providers.papermill.operators.papermill": {
            "PapermillOperator": type("PapermillOperator", (Operator,), {})
        },
    }
    for name, classes in places.items():
        for i in range(1, len(name.split(".")) + 1):
            package = ".".join(name.split(".")[:i])
            monkeypatch.setitem(sys.modules, package, sys.modules.get(package) or types.ModuleType(package))
        vars(sys.modules[name]).update(classes)
    for block in blocks("python"):
        exec(compile(block, "dag", "exec"), {})
    assert [kind for kind, _ in made] == ["DAG", "BashOperator", "BashOperator", "DAG", "PapermillOperator"]
    run, tell, notebook = (given for kind, given in made if kind != "DAG")
    assert run["cwd"] == tell["cwd"] == "/srv/tenure"
    # 3 is no failure, anything else is.
    for status, ends in ((0, 0), (3, 0), (1, 1), (143, 1)):
        command = run["bash_command"].replace(".venv/bin/tenure run --wait", f"(exit {status})")
        assert subprocess.run(["bash", "-c", command]).returncode == ends
    path = ROOT / notebook["input_nb"].removeprefix("/srv/tenure/")
    assert set(notebook["parameters"]) <= set(read_notebook(path).parameters)


SUBSCRIBERS = """
from tenure import report
from tenure.result import Estimate
import pandas as pd
report.finding("some.number", "It is {value}.", Estimate(9, unit="count", exact=True))
report.export("mine", pd.DataFrame({"customer_id": ["a"], "score": [0.5]}))
"""


def test_the_script_of_the_night_runs(tmp_path: Path) -> None:
    """As it stands, but for where the project and the list are; mail and webhook are replaced by files."""
    import nbformat

    project, programs = tmp_path / "srv", tmp_path / "bin"
    for folder in (project / "notebooks", project / ".venv" / "bin", programs):
        folder.mkdir(parents=True)
    cells = [nbformat.v4.new_markdown_cell("# One"), nbformat.v4.new_code_cell(SUBSCRIBERS)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), project / "notebooks" / "one.ipynb")
    runbook = "reports:\n- {name: one, notebook: one.ipynb, watch: {some.number: {max: 5}}}\n"
    (project / "notebooks" / "runbook.yml").write_text(runbook)
    tenure = f"#!/bin/sh\nexec {sys.executable} -c 'from tenure.cli import main; main()' \"$@\"\n"
    written = {
        project / ".venv" / "bin" / "tenure": tenure,
        programs / "sendmail": f'#!/bin/sh\ntest "$1" = -t && cat > {tmp_path}/mail\n',
        programs / "curl": f'#!/bin/sh\necho "$@" > {tmp_path}/curl; cat > {tmp_path}/hook\n',
    }
    for file, text in written.items():
        file.write_text(text)
        file.chmod(stat.S_IRWXU)
    script, export = blocks("bash")
    assert "CRM_PASSWORD" in export
    script = script.replace("/srv/tenure", str(project)).replace("/srv/crm", str(tmp_path / "crm"))
    environment = {
        **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "SLACK_WEBHOOK": "https://hook",
        "TENURE_ROOT": str(project), "TENURE_KERNELS": "plain",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 3, done.stderr
    head, _, page = (tmp_path / "mail").read_text().partition("\n\n")
    assert head.splitlines()[-1] == "Content-Type: text/html; charset=utf-8"
    assert "some.number is 9, above its maximum 5." in page
    assert "https://reports.example.com/runs/" in page
    assert "some.number is 9" in json.loads((tmp_path / "hook").read_text())["text"]
    assert (tmp_path / "curl").read_text().endswith("--data @- https://hook\n")
    assert (tmp_path / "crm" / "customers.csv").read_text().splitlines()[1] == "a,,0.5,,,"
