"""Runbooks, company files and commands that cannot be right."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_projects import FINDING, Project

from faults.company import Company
from faults.judge import call, refused, state_of

ONE = "reports:\n- name: one\n  notebook: one.ipynb\n"
RUNBOOKS = {
    "a repeated key: defaults": ("defaults: {x: 2}\n" + ONE + "defaults: {}\n", "defaults"),
    "a repeated key: watch": (ONE + "  watch: {some.number: {max: 5}}\n  watch: {}\n", "watch"),
    "a repeated key: reports": (ONE + "reports: []\n", "reports"),
    "a bound: not a number": (ONE + "  watch: {some.number: {max: .nan}}\n", "some.number"),
    "a bound: infinite": (ONE + "  watch: {some.number: {min: -.inf}}\n", "some.number"),
    "a bound: none": (ONE + "  watch: {some.number: {}}\n", "some.number"),
    "a bound: crossed": (ONE + "  watch: {some.number: {min: 5, max: 1}}\n", "some.number"),
    "a bound: text": (ONE + "  watch: {some.number: {max: five}}\n", "some.number"),
    "a bound: one number": (ONE + "  watch: {some.number: 4}\n", "some.number"),
    "a bound: of a finding that is not there": (ONE + "  watch: {other.number: {max: 4}}\n", "other.number"),
    "a bound: a misspelt key": (ONE + "  watch: {some.number: {maximum: 4}}\n", "maximum"),
    "for_each: 90,000 reports": (ONE + f"  for_each: {{x: {list(range(300))}, y: {list(range(300))}}}\n", "90,000"),
    "for_each: empty": (ONE + "  for_each: {x: []}\n", "for_each"),
    "for_each: text": (ONE + "  for_each: {x: 12}\n", "for_each"),
    "for_each: an unknown parameter": (ONE + "  for_each: {z: [1]}\n", "z"),
    "a report twice": (ONE + ONE.removeprefix("reports:\n"), "one"),
    "a need that is not there": (ONE + "  needs: [two]\n", "two"),
    "a need of itself": (ONE + "  needs: [one]\n", "circle"),
    "a name: capitals": (ONE.replace("name: one", "name: One"), "name"),
    "a name: a path": (ONE.replace("name: one", "name: ../one"), "name"),
    "a notebook that is not there": (ONE.replace("one.ipynb", "won.ipynb"), "won.ipynb"),
    "a parameter: unknown": (ONE + "  parameters: {z: 1}\n", "z"),
    "a parameter: of another type": (ONE + "  parameters: {x: many}\n", "x"),
    "a parameter: not a number": (ONE + "  parameters: {y: .nan}\n", "y"),
    "a default: unknown": ("defaults: {z: 1}\n" + ONE, "z"),
    "a password in the runbook": (ONE + "  parameters: {data: 'postgres://me:secret@host/x'}\n", "data"),
    "a timeout": (ONE + "  timeout: -1\n", "timeout"),
    "a number of runs to keep": ("keep: 0\n" + ONE, "keep"),
    "a timeout: endless": (ONE + "  timeout: .inf\n", "timeout"),
    "a timeout: longer than any clock": (ONE + "  timeout: 100000000000000000000\n", "timeout"),
    "a key without a value": ("defaults:\n" + ONE, "defaults is empty"),
    "a key without a value: reports": ("reports:\n", "reports is empty"),
    "a key without a value: of a parameter": (ONE + "  parameters: {x: null}\n", "it is empty"),
    "a list of no reports": ("reports: []\n", "reports"),
    "nested too deeply": ("defaults: " + "[" * 3000 + "]" * 3000 + "\n" + ONE, "runbook.yml"),
    "an unknown key of the runbook": (ONE + "  notebok: x\n", "notebok"),
    "not YAML": ("reports: [\n", "line"),
    "no reports": ("reports: 3\n", "reports"),
    "an empty runbook": ("", "runbook.yml"),
    "control characters in the runbook": (ONE + '  title: "\x00"\n', "runbook.yml"),
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("TENURE_ROOT", str(tmp_path))
    monkeypatch.setenv("TENURE_KERNELS", "plain")
    monkeypatch.chdir(tmp_path)
    made = Project(tmp_path)
    made.notebook("one", FINDING, parameters='x: int = 1  # a\ny: float = 1.0  # b\ndata: str = "x"  # c')
    return made


@pytest.mark.parametrize(("text", "name"), RUNBOOKS.values(), ids=RUNBOOKS)
def test_it_is_refused_before_any_report(project: Project, capfd, text: str, name: str) -> None:
    project.runbook(text)
    before = state_of(project.root)
    refused(call(capfd, "run"), [name])
    assert state_of(project.root) == before


COMMANDS: dict[str, tuple[list[str], str]] = {
    "a setting: without a value": (["run", "--set", "x"], "x"),
    "a setting: without a name": (["run", "--set", "=1"], "=1"),
    "a setting: unknown": (["run", "--set", "z=1"], "z"),
    "a setting: of another type": (["run", "--set", "x=many"], "x"),
    "a setting: infinite": (["run", "--set", "y=.inf"], "y"),
    "a setting: not YAML": (["run", "--set", "x=[1"], "x"),
    "an unknown report": (["run", "won"], "won"),
    "an unknown report: with control characters": (["run", "\x1b[2Jone"], "one"),
    "a notebook that is not there": (["run", "nowhere.ipynb"], "nowhere.ipynb"),
    "two notebooks by their paths": (["run", "a.ipynb", "b.ipynb"], "alone"),
    "nothing published: digest": (["digest"], "published"),
    "nothing published: export": (["export", "list.csv"], "published"),
    "a workbook's name": (["new", "Bad Name", "--question", "Who is it?"], "Bad Name"),
    "a workbook's question": (["new", "good_name", "--question", "x"], "question"),
    "an export that is not there": (["init", "nowhere"], "nowhere"),
}


@pytest.mark.parametrize(("arguments", "name"), COMMANDS.values(), ids=COMMANDS)
def test_a_command_is_refused(project: Project, capfd, arguments: list[str], name: str) -> None:
    project.runbook(ONE)
    before = state_of(project.root)
    refused(call(capfd, *arguments), [name])
    assert state_of(project.root) == before


FACTS = {
    "margin: 5": "margin", "margin: 0": "margin", "margin: .nan": "margin", "margin: lots": "margin",
    "fee_share: 2": "fee_share", "fee_share: -0.1": "fee_share", "fee_fixed: -1": "fee_fixed", "fee_fixed: .inf": "fee_fixed",
    "cost_to_serve: .nan": "cost_to_serve", "discount_rate: 30": "discount_rate", "horizon_months: 0": "horizon_months",
    "horizon_months: 1.5": "horizon_months", "fiscal_year_start: 13": "fiscal_year_start", "currency: euro": "currency",
    "accent: green": "accent", "time_zone: Mars/Base": "time_zone", "time_zone: +25:00": "time_zone",
    "logo: none.png": "none.png", "logo: ../secret": "logo", "spend_lag: -1": "spend_lag", "observed_until: soon": "observed_until",
    "commission: {a: 2}": "commission", "commission: {a: .nan}": "commission", "rules: {gap: 1}": "gap",
    "rules: {gap_days: never}": "gap_days", "rules: {unit: household}": "unit", "magin: 0.7": "magin",
    "margin: 0.7\nmargin: 0.8": "margin", "- margin": "company.yml", "margin 0.7": "company.yml", "margin: [": "line",
    "name: \"\x1b[2J": "line", "margin: yes": "margin", "smallest_group: true": "smallest_group", "smallest_group:": "empty",
    "spend_lag: true": "spend_lag", "commission: {a: true}": "commission", "rules: {hold_days: true}": "rules", "null: 1": "a key is empty",
    "observed_until: 9999-12-31": "observed_until", "observed_until: 0001-01-01": "observed_until",
    "rules: {hold_days: -1}": "hold_days", "rules: {hold_days: 100000000000000}": "hold_days", "rules:": "rules is empty",
    "rules: {gap_days: 1000000000000000000000000000000}": "gap_days", "rules: {gap_days: {year: -1}}": "gap_days.year",
    "rules: {weeks_per_year: 0}": "weeks_per_year", "margin: " + "[" * 3000: "company.yml",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "name"), FACTS.items(), ids=[f"a company's fact: {text[:60]!r}" for text in FACTS]
)
def test_a_companys_facts_are_refused(capfd, tmp_path: Path, text: str, name: str) -> None:
    company = Company(tmp_path / "co")
    company.text("company.yml", text + "\n")
    refused(call(capfd, "check", company.write()), [name])


def test_what_is_no_file_is_not_passed_over(capfd, tmp_path: Path) -> None:
    folder = Company(tmp_path / "co").write()
    (tmp_path / "co" / "company.yml").mkdir()
    refused(call(capfd, "check", folder), ["company.yml"])


SETTINGS: dict[str, tuple[str, str]] = {
    "the engine's memory: negative": ("TENURE_MEMORY_LIMIT", "-1GB"), "the engine's memory: none": ("TENURE_MEMORY_LIMIT", "0"),
    "the engine's memory: text": ("TENURE_MEMORY_LIMIT", "lots"), "the engine's threads: too many": ("TENURE_THREADS", "100000000"),
    "the engine's threads: none": ("TENURE_THREADS", "0"), "the engine's threads: text": ("TENURE_THREADS", "two"),
    "the engine's room: text": ("TENURE_TEMP_LIMIT", "some"), "the engine's room: negative": ("TENURE_TEMP_LIMIT", "-5GB"),
    "the engine's folder": ("TENURE_TEMP_DIRECTORY", "/nowhere/at/all"), "a locale": ("TENURE_LOCALE", "klingon"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), SETTINGS.values(), ids=SETTINGS)
def test_a_setting_of_the_environment_is_refused(
    capfd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    folder = Company(tmp_path / "co").write()
    monkeypatch.setenv(name, value)
    refused(call(capfd, "check", folder), [name])
