from __future__ import annotations

import re
import shutil

import pytest
import yaml
from tiny_projects import Project

from reference import snapshot
from tenure import renamed
from tenure.economics import Economics
from tenure.errors import InputError
from tenure.paths import project_root
from tenure.runs.notebook import read_notebook
from tenure.runs.runbook import read_runbook

PARAMETERS = """
data: str = "data/demo"  # where the data is, "#1" say
month: str = "01"  # the month
horizon: int = 24
share: float = 0.5
late: bool = False
plans: list[str] = []
"""


@pytest.fixture
def book(project: Project) -> Project:
    project.notebook("one", "print(1)", parameters=PARAMETERS)
    project.notebook("two", "print(2)", parameters='country: str = "IT"')
    return project


def read(project: Project, text: str, **settings: str):
    return read_runbook(project.runbook(text), settings)


def sentence(project: Project, text: str, **settings: str) -> str:
    with pytest.raises(InputError) as error:
        read(project, text, **settings)
    words = str(error.value)
    assert "\n" not in words
    assert words.endswith((".", "?"))
    return words


ONE = "reports:\n- {name: one, notebook: one.ipynb}\n"


def test_parameters_are_those_papermill_finds(book: Project) -> None:
    import papermill

    report = read(book, ONE).reports[0]
    path = report.notebook.path
    found = papermill.inspect_notebook(str(path))
    assert [(p["name"], p["inferred_type_name"]) for p in found.values()] == [
        (p.name, p.type) for p in report.notebook.parameters.values()
    ]
    assert report.notebook.parameters["data"].help == 'where the data is, "#1" say'
    assert report.title == "About one"
    assert report.notebook.question == "Who asks, and why?"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "reports:\n- {name: one, notebok: one.ipynb}\n",
            "reports.one.notebok: there is no such key. Fix: is 'notebook' meant?",
        ),
        ("reprots: []\n", "reprots: there is no such key. Fix: is 'reports' meant?"),
        ("reports:\n- {notebook: one.ipynb}\n", "reports.0.name is missing"),
        ("reports:\n- {name: One, notebook: one.ipynb}\n", "lower-case"),
        ("reports:\n- {name: one, notebook: nine.ipynb}\n", "no notebook"),
        (ONE + "- {name: one, notebook: two.ipynb}\n", "more than once"),
        (ONE[:-2] + ", parameters: {horizn: 3}}\n", "`horizn`; did you mean `horizon`?"),
        (ONE[:-2] + ", parameters: {horizon: ten}}\n", "must be a whole number"),
        (ONE[:-2] + ", parameters: {horizon: true}}\n", "must be a whole number"),
        (ONE[:-2] + ", parameters: {horizon: 2.5}}\n", "must be a whole number"),
        (ONE[:-2] + ", parameters: {share: .nan}}\n", "finite"),
        (ONE[:-2] + ", parameters: {month: 007}}\n", "quotation marks"),
        (ONE[:-2] + ", parameters: {plans: [1]}}\n", "list[str]"),
        (ONE[:-2] + ", needs: [tow]}\n- {name: two, notebook: two.ipynb}\n", "did you mean `two`?"),
        (ONE[:-2] + ", needs: [one]}\n", "in a circle"),
        (
            ONE[:-2] + ", watch: {a.b: {maxi: 3}}}\n",
            "reports.one.watch.a.b.maxi: there is no such key. Fix: is 'max' meant?",
        ),
        (ONE[:-2] + ", watch: {a.b: 3}}\n", "a.b is 3. Fix: write keys below it, of min, max"),
        (ONE[:-2] + ", watch: 4}\n", "watch is 4. Fix: write lines of `name: value` below it"),
        (ONE[:-2] + ", needs: clv}\n", "needs is 'clv'. Fix: write a list, such as [a, b]"),
        (ONE[:-2] + ", timeout: -1}\n", "timeout"),
        ("defaults: {dta: x}\n" + ONE, "did you mean `data`?"),
        # NO is false in YAML.
        ("reports:\n- {name: two, notebook: two.ipynb, for_each: {country: [IT, NO]}}\n", "quotation marks"),
        ("reports:\n- {name: two, notebook: two.ipynb, for_each: {country: []}}\n", "empty list"),
        ("reports:\n- {name: two, notebook: two.ipynb, for_each: {country: [a b, a-b]}}\n", "more than once"),
        ("reports: [", "YAML"),
        ("- a\n", "has no keys"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(book: Project, text: str, words: str) -> None:
    assert words in sentence(book, text)


def test_typed_values_keep_the_declared_type(book: Project) -> None:
    report = read(book, ONE, month="007", horizon="12", share="1", late="yes", plans="[a, '2']").reports[0]
    assert report.parameters == {
        "month": "007",
        "horizon": 12,
        "share": 1.0,
        "late": True,
        "plans": ["a", "2"],
    }
    assert isinstance(report.parameters["share"], float)


def test_a_typed_value_of_another_type_is_refused(book: Project) -> None:
    assert "must be a whole number" in sentence(book, ONE, horizon="soon")
    assert "did you mean `horizon`?" in sentence(book, ONE, horizom="12")


def test_a_date_in_the_runbook_is_text(book: Project) -> None:
    report = read(book, ONE[:-2] + ", parameters: {month: 2026-01-31}}\n").reports[0]
    assert report.parameters["month"] == "2026-01-31"


def test_defaults_go_where_the_parameter_is(book: Project) -> None:
    both = "defaults: {data: other}\n" + ONE + "- {name: two, notebook: two.ipynb}\n"
    one, two = read(book, both).reports
    assert one.values["data"] == "other"
    assert "data" not in two.values


def test_a_repeated_report_is_spelled_out(book: Project) -> None:
    text = ONE[:-2] + ", needs: [two]}\n- {name: two, notebook: two.ipynb, for_each: {country: [IT, FR]}}\n"
    runbook = read(book, text)
    assert [report.name for report in runbook.reports] == ["one", "two.IT", "two.FR"]
    assert runbook.reports[0].needs == ("two.IT", "two.FR")
    assert runbook.reports[2].parameters == {"country": "FR"}
    assert [report.name for report in runbook.select(["two"])] == ["two.IT", "two.FR"]
    assert [report.name for report in runbook.select(["two.FR"])] == ["two.FR"]
    with pytest.raises(InputError, match=r"did you mean `two\.FR`"):
        runbook.select(["two.FRA"])


def test_a_column_of_customers_is_a_condition_on_them(project: Project) -> None:
    project.notebook("one", "print(1)", parameters='by: str = ""\nonly: str = ""')
    entry = "reports:\n- {name: one, notebook: one.ipynb, "
    text = entry + """for_each: {country: [IT, "L'Aquila", null], "Is it?": [true]}}\n"""
    found = read(project, text).reports
    assert [report.name for report in found] == ["one.IT.True", "one.L-Aquila.True", "one.unknown.True"]
    assert [report.title for report in found][2] == "About one: unknown, True"
    assert [report.parameters["only"] for report in found] == [
        "country = 'IT' and \"Is it?\" = TRUE",
        "country = 'L''Aquila' and \"Is it?\" = TRUE",
        'country is null and "Is it?" = TRUE',
    ]
    text = entry + "parameters: {only: a = 1 or b = 2}, for_each: {year: [1984], by: [plan]}}\n"
    assert read(project, text).reports[0].parameters == {
        "only": "(a = 1 or b = 2) and year = 1984",
        "by": "plan",
    }
    assert read(project, text, only="c = 3").reports[0].parameters["only"] == "(c = 3) and year = 1984"
    project.notebook("two", "print(2)", parameters='by: str = ""')
    text = "reports:\n- {name: two, notebook: two.ipynb, for_each: {country: [IT]}}\n"
    assert "There is no parameter `country`" in sentence(project, text)


@pytest.mark.parametrize(
    "address", ["postgres://me:hunter22@host/shop", "https://host/x?user=me&password=hunter22"]
)
def test_a_password_is_refused_and_not_repeated(book: Project, address: str) -> None:
    words = sentence(book, ONE, data=address)
    assert "hunter22" not in words
    assert "environment variable" in words


def test_a_placeholder_for_a_password_is_passed_on(book: Project) -> None:
    address = "postgres://me:${PGPASSWORD}@host/shop"
    assert read(book, ONE, data=address).reports[0].parameters["data"] == address


def test_the_projects_own_runbook_is_sound(request: pytest.FixtureRequest) -> None:
    path = request.config.rootpath / "notebooks" / "runbook.yml"
    names = [report.name for report in read_runbook(path).reports]
    assert "churn_curves" in names


def test_an_old_notebook_is_refused_with_the_new_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(renamed.NOTEBOOKS, "old.ipynb", "one.ipynb")
    project.notebook("one", "pass")
    assert "old.ipynb is now `one.ipynb`" in sentence(project, ONE.replace("one.ipynb", "old.ipynb"))
    assert "defaults: There is no parameter `currency`" in sentence(
        project, "defaults: {currency: EUR}\n" + ONE
    )
    assert "now `margin`, in company.yml and in the notebook 11_growth" in sentence(
        project, ONE, gross_margin="0.8"
    )


NOTEBOOKS = sorted((project_root() / "notebooks").glob("*.ipynb"))
OLD = yaml.safe_load((snapshot.FROZEN / "names.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ["parameters", "findings"])
@pytest.mark.parametrize("notebook", OLD)
def test_every_old_name_is_kept_or_refused_with_where_it_is_now(
    project: Project, notebook: str, kind: str
) -> None:
    ours = {file.stem: read_notebook(file) for file in NOTEBOOKS}
    shutil.copy(ours[notebook].path, project.root / "notebooks")
    entry = "reports:\n- {name: one, notebook: %s.ipynb, %s: {%s: %s}}\n"
    for name in OLD[notebook][kind]:
        if name in getattr(ours[notebook], kind):
            continue
        key, value = ("watch", "{max: 1}") if kind == "findings" else (kind, "1")
        words = sentence(project, entry % (notebook, key, name, value))
        new = words.partition("it is now ")[2].partition(" Fix: ")[0]
        assert all(part in words for part in ("report one", f"`{name}`", "it is now ")), words
        where = re.search(r"in the notebook (\w+)", new)
        there = [ours[where[1]]] if where else list(ours.values()) if " and " in new else [ours[notebook]]
        ids = re.findall(r"`([\w.]+)`|(?<!in )\b(\w+\.\w+)\b", new)
        names = ["".join(pair) for pair in ids] or [name]
        assert all(any(it in getattr(one, kind) for one in there) for it in names), words
        if "company.yml" in new:
            assert names[0] in Economics.model_fields, words
