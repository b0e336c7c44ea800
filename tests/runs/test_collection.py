from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_projects import FINDING, Project, run_instantly

from tenure import report as pages
from tenure.errors import InputError
from tenure.runs import collection, graph
from tenure.runs.publish import BusyError
from tenure.sources.address import Address

NUMBER = "x: int = 1  # the number"
PASS = "pass"


@pytest.fixture(autouse=True)
def plain_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages made of their facts alone: what they look like is tested elsewhere."""

    def page(notebook: Any, *words: str, run: Any, **_: Any) -> str:
        outputs = json.dumps([cell.get("outputs", []) for cell in notebook.cells]) if notebook else ""
        return f"<html>{words} {run['parameters']} {outputs}</html>"

    def index(entries: Any, run: Any) -> str:
        return "<html>" + json.dumps(entries) + "</html>"

    monkeypatch.setattr(pages, "render", page)
    monkeypatch.setattr(pages, "render_failure", page)
    monkeypatch.setattr(pages, "index_page", index)


@pytest.fixture
def instantly(monkeypatch: pytest.MonkeyPatch) -> None:
    run_instantly(monkeypatch)


def test_a_failing_notebook_stops_nothing_and_keeps_the_last_good_report(project: Project) -> None:
    export = "import os; open(os.environ['TENURE_OUTPUT'] + '/rows.csv', 'w').write('a')"
    project.notebook("good", FINDING, export, parameters=NUMBER)
    project.notebook("fails", export, "1 / x", parameters=NUMBER)
    project.notebook("absent", "from tenure import NotApplicable; raise NotApplicable('No payments.')")
    project.simple("fails", "good", "absent")

    first = project.run()
    assert {name: entry["state"] for name, entry in first.entries.items()} == {
        "fails": "ok", "good": "ok", "absent": "not_applicable",
    }  # fmt: skip
    assert first.status == 0
    folder = project.published()
    assert (folder / "exports" / "good" / "rows.csv").read_text() == "a"
    assert json.loads((folder / "good.findings.json").read_text())[0]["value"] == 1
    old = (folder / "fails.html").read_bytes()

    second = project.run(settings={"x": "0"})
    assert set(second.made) == {"fails", "good"}
    assert second.status == 1
    assert second.failed == ("fails",)
    newer = project.published()
    assert newer != folder
    assert (newer / "fails.html").read_bytes() == old
    assert (newer / "exports" / "fails" / "rows.csv").exists()
    assert "ZeroDivisionError" in (newer / "fails.failed.html").read_text()
    record = project.record()["reports"]["fails"]
    assert (record["state"], record["cell"], record["made"]) == ("failed", 3, folder.name)
    assert "ZeroDivisionError" in record["reason"]
    # Every link of the index leads somewhere.
    index = project.reports.index.read_text(encoding="utf-8")
    for entry in json.loads(index[len("<html>") : index.index("</html>")]):
        for key in ("page", "failed_page", "notebook_file"):
            assert entry[key] is None or (project.reports.folder / entry[key]).is_file()
    assert os.readlink(project.reports.folder / "latest") == f"runs/{newer.name}"


def test_a_report_that_no_longer_applies_is_withdrawn(project: Project) -> None:
    project.notebook(
        "one",
        "from tenure import NotApplicable\nif x: raise NotApplicable('No payments.')",
        parameters="x: int = 0",
    )
    project.simple("one")
    project.run()
    assert (project.published() / "one.html").exists()
    result = project.run(settings={"x": "1"})
    assert result.status == 0
    assert result.entries["one"]["reason"] == "No payments."
    assert not (project.published() / "one.html").exists()


@pytest.mark.usefixtures("instantly")
def test_only_what_changed_runs_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    data = project.root / "data"
    data.mkdir()
    (data / "customers.csv").write_text("a")
    mapping = project.root / "mapping.yml"
    mapping.write_text("time_zone: UTC")
    with_data = NUMBER + '\ndata: str = "data"\nmapping: str = "mapping.yml"'
    project.notebook("one", FINDING, parameters=with_data)
    project.notebook("two", FINDING, parameters=NUMBER)
    project.simple("one", "two")

    assert set(project.run().made) == {"one", "two"}
    published = project.published()
    assert project.run().made == ()
    assert project.published() == published
    assert project.run("two", force=True).made == ("two",)
    carried = project.published()
    assert (carried / "one.html").stat().st_ino == (published / "one.html").stat().st_ino
    assert project.record()["reports"]["one"]["made"] == published.name

    assert project.run(settings={"x": "2"}, jobs=1).made == ("one", "two")
    assert project.run("one", settings={"x": "2"}).made == ()
    assert project.run("two").made == ("two",)
    assert project.run().made == ("one",)

    (data / "customers.csv").write_text("ab")
    assert project.run().made == ("one",)
    mapping.write_text("time_zone: Europe/Rome")
    assert project.run().made == ("one",)
    # Both look for the company's facts, and find them in data/company.yml.
    (data / "company.yml").write_text("margin: 0.8")
    assert set(project.run().made) == {"one", "two"}
    (data / "company.yml").write_text("margin: 0.9")
    assert set(project.run().made) == {"one", "two"}
    # The same facts in other words: only the folder of data has changed, which is the first report's.
    (data / "company.yml").write_text("margin: 0.9  # after hosting")
    assert project.run().made == ("one",)
    project.notebook("two", FINDING, "2", parameters=NUMBER)
    assert project.run().made == ("two",)

    with monkeypatch.context() as patch:
        patch.setattr(graph, "code_digest", lambda package: "other code")
        assert set(project.run().made) == {"one", "two"}
    with monkeypatch.context() as patch:
        patch.setattr(collection.graph, "versions", lambda: {"pandas": "9"})
        assert set(project.run().made) == {"one", "two"}
    project.run()

    # The files of a report are gone: it is made again.
    (project.published() / "one.html").unlink()
    assert project.run().made == ("one",)
    # A database may change at any time.
    assert project.run("one", settings={"data": "postgres://host/shop"}).made == ("one",)
    assert project.run("one", settings={"data": "postgres://host/shop"}).made == ("one",)


def test_a_failed_report_runs_again(project: Project) -> None:
    marker = project.root / "marker"
    project.notebook("one", f"open({str(marker)!r})")
    project.simple("one")
    assert project.run().status == 1
    marker.touch()
    result = project.run()
    assert (result.made, result.status) == (("one",), 0)
    assert not list(project.published().glob("*.failed.html"))
    assert project.run().made == ()


def test_what_is_needed_runs_first_and_passes_its_findings_on(project: Project) -> None:
    project.notebook("numbers", FINDING, parameters=NUMBER)
    project.notebook("broken", "1 / 0")
    project.notebook(
        "summary",
        "import json, os, pathlib",
        "folder = pathlib.Path(os.environ['TENURE_UPSTREAM'])",
        "print(sorted((p.name, [f['value'] for f in json.loads(p.read_text())]) for p in folder.iterdir()))",
    )
    project.runbook(
        """
        reports:
        - {name: summary, notebook: summary.ipynb, needs: [numbers, broken]}
        - {name: numbers, notebook: numbers.ipynb}
        - {name: broken, notebook: broken.ipynb}
        """
    )
    result = project.run("summary", jobs=2)
    assert result.made[-1] == "summary"
    assert set(result.made) == {"summary", "numbers", "broken"}
    text = (project.published() / "summary.ipynb").read_text(encoding="utf-8")
    assert "[('broken.findings.json', []), ('numbers.findings.json', [1])]" in text


@pytest.mark.usefixtures("instantly")
def test_other_findings_run_what_needs_them_again(project: Project) -> None:
    project.notebook("numbers", PASS, parameters=NUMBER)
    project.notebook("summary", PASS)
    project.runbook(
        """
        reports:
        - {name: summary, notebook: summary.ipynb, needs: [numbers]}
        - {name: numbers, notebook: numbers.ipynb}
        """
    )
    assert project.run("summary").made == ("numbers", "summary")
    project.notebook("numbers", PASS, "# another cell", parameters=NUMBER)
    assert project.run().made == ("numbers",)
    assert project.run("summary", settings={}, force=True).made == ("summary",)
    project.notebook("numbers", PASS, parameters=NUMBER.replace("1", "2"))
    assert project.run("summary").made == ("numbers", "summary")


@pytest.mark.usefixtures("instantly")
def test_watched_numbers(project: Project) -> None:
    project.notebook("one", FINDING, parameters=NUMBER)

    def watch(bounds: str) -> None:
        project.runbook(f"reports:\n- {{name: one, notebook: one.ipynb, watch: {{{bounds}}}}}\n")

    watch("some.number: {max: 2}")
    assert project.run().status == 0
    result = project.run(settings={"x": "3"})
    assert result.status == 3
    assert result.breaches[0].sentence == "some.number is 3, above its maximum 2."
    # Unchanged, and still out of bounds.
    again = project.run(settings={"x": "3"})
    assert (again.made, again.status) == ((), 3)
    watch("some.number: {min: 4}")
    assert project.run(settings={"x": "3"}).breaches[0].sentence == "some.number is 3, below its minimum 4."
    watch("some.number: {min: 3, max: 3}")
    assert project.run(settings={"x": "3"}).status == 0
    watch("some.numbr: {max: 3}")
    with pytest.raises(InputError, match=r"report one, watch: .* did you mean `some.number`\?"):
        project.run()
    # What a notebook does not name as a text is known when it has run.
    project.notebook("one", FINDING.replace('"some.number"', "'some.' + 'number'"), parameters=NUMBER)
    result = project.run()
    assert result.status == 3
    assert "did you mean `some.number`?" in result.breaches[0].sentence


def test_repeated_reports(project: Project) -> None:
    project.notebook("one", "print(country)", parameters='country: str = ""')
    project.runbook("reports:\n- {name: one, notebook: one.ipynb, for_each: {country: [IT, 'the UK']}}\n")
    result = project.run()
    assert set(result.made) == {"one.IT", "one.the-UK"}
    assert "the UK" in (project.published() / "one.the-UK.html").read_text(encoding="utf-8")
    assert result.entries["one.the-UK"]["title"] == "About one: the UK"


OPENS = """
import tenure
book = tenure.open_workbook(globals(), needs=["customers"])
print(sorted(book.source["customers"].customer_id.execute()))
"""
ONLY = 'data: str = "shop"\nas_of: str = ""\nonly: str = ""'


@pytest.fixture
def shop(project: Project) -> Project:
    folder = project.root / "shop"
    folder.mkdir()
    (folder / "customers.csv").write_text(
        "customer_id,created_at,country\na,2026-01-01,IT\nb,2026-01-01,FR\nc,2026-01-01,\nd,2026-01-01,IT\n"
    )
    head = "subscription_id,customer_id,plan,billing_interval,unit_amount_minor,currency,status,started_at,ended_at\n"
    rows = "".join(f"s{one},{one},P,month,999,EUR,active,2026-01-01,\n" for one in "abcd")
    (folder / "subscriptions.csv").write_text(head + rows)
    (folder / "company.yml").write_text("smallest_group: 1\n")
    project.notebook("one", OPENS, parameters=ONLY)
    return project


def test_a_report_for_each_country_speaks_of_its_customers(shop: Project) -> None:
    shop.runbook("reports:\n- {name: one, notebook: one.ipynb, for_each: {country: [IT, FR, null, XX]}}\n")
    result = shop.run()
    assert (result.status, {name: entry["state"] for name, entry in result.entries.items()}) == (
        0, {"one.IT": "ok", "one.FR": "ok", "one.unknown": "ok", "one.XX": "not_applicable"},
    )  # fmt: skip
    assert result.entries["one.XX"]["reason"] == (
        "Of 4 customers, none has country = 'XX': there is nobody to speak of."
    )
    said = {
        "IT": "2 customers of 4: those with country = 'IT'",
        "FR": "1 customer of 4: those with country = 'FR'",
        "unknown": "1 customer of 4: those with country is null",
    }
    for name, words in said.items():
        page = (shop.published() / f"one.{name}.html").read_text(encoding="utf-8")
        assert f"Only {words}." in page
        assert result.entries[f"one.{name}"]["parameters"]["only"] == words.partition("with ")[2]
    assert result.entries["one.unknown"]["title"] == "About one: unknown"


def test_what_is_no_column_of_customers_is_refused_before_the_run(shop: Project) -> None:
    text = "reports:\n- {{name: one, notebook: one.ipynb, {}}}\n"
    for given, words in {
        "for_each: {contry: [IT]}": "The report one.IT: The parameter `only`: There is no column `contry`; did you mean",
        "parameters: {only: country = 1}": "The report one: The parameter `only` compares country with 1",
        "for_each: {country: [NO]}": "compares country with FALSE, but country is text",
        "for_each: {country: [[IT, FR]]}": "which is no column, value or comparison",
    }.items():
        shop.runbook(text.format(given))
        with pytest.raises(InputError) as caught:
            shop.run()
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not shop.reports.names()
    # Where the data cannot be read, the report says why.
    shop.runbook(text.format("parameters: {data: nowhere, only: a = 1}"))
    assert "nowhere" in shop.run().entries["one"]["reason"]


@pytest.mark.usefixtures("instantly")
def test_history_of_a_number(project: Project) -> None:
    project.notebook("one", FINDING, parameters=NUMBER)
    project.runbook("keep: 2\nreports:\n- {name: one, notebook: one.ipynb}\n")
    for value in (1, 2, 3):
        project.run(settings={"x": str(value)})
    project.run(settings={"x": "3"})
    points = project.record()["history"]["one"]["some.number"]
    assert [value for _, value in points] == [1, 2, 3]
    assert len(project.reports.names()) == 2


@pytest.mark.usefixtures("instantly")
def test_the_record_of_a_run(project: Project) -> None:
    project.notebook("one", FINDING, parameters=NUMBER)
    project.simple("one")
    project.run(settings={"x": "5"})
    record = project.record()
    assert record["versions"]["python"].startswith("3.")
    assert {"pandas", "duckdb", "papermill", "tenure"} <= set(record["versions"])
    assert record["started"] <= record["finished"]
    entry = record["reports"]["one"]
    assert entry["parameters"] == {"x": 5}
    assert entry["findings"][0]["id"] == "some.number"


@pytest.mark.usefixtures("instantly")
def test_a_report_that_is_gone_from_the_runbook_is_gone(project: Project) -> None:
    project.notebook("one", PASS)
    project.notebook("two", PASS)
    project.simple("one", "two")
    project.run()
    project.simple("one")
    result = project.run()
    assert result.made == ()
    assert not (project.published() / "two.html").exists()
    assert (project.published() / "one.html").exists()


def test_notebooks_share_the_machine(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "cores", lambda: 8)
    monkeypatch.setenv("TENURE_MEMORY_LIMIT", "123MiB")
    names = ("TENURE_THREADS", "TENURE_MEMORY_LIMIT", "OMP_NUM_THREADS")
    for name in names[::2]:
        monkeypatch.delenv(name, raising=False)
    for name in ("one", "two", "three"):
        project.notebook(name, f"import os; print(*(os.environ[n] for n in {names!r}))")
    project.simple("one", "two", "three")
    project.run(jobs=2)
    assert "4 123MiB 4" in (project.published() / "one.html").read_text(encoding="utf-8")


def test_secrets_stay_in_the_environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hunt/er22")
    project.notebook(
        "one",
        "import os; print(data); print(os.environ['SHOP_PASSWORD'])",
        "raise ConnectionError('postgres://me:hunt%2Fer22@host refused')",
        parameters='data: str = ""',
    )
    project.runbook(
        """
        defaults: {data: "postgres://me:${SHOP_PASSWORD}@host/shop"}
        reports:
        - {name: one, notebook: one.ipynb}
        """
    )
    result = project.run()
    assert result.status == 1
    kept = project.everything() + json.dumps(result.entries)
    assert "hunt" not in kept
    assert "postgres://me:${SHOP_PASSWORD}@host" in kept


def test_a_page_that_cannot_be_made_is_a_failure(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise InputError("The figure has no alternative text.")

    def crash(*_: Any, **__: Any) -> str:
        raise KeyError("what")

    project.notebook("one", PASS)
    project.simple("one")
    monkeypatch.setattr(pages, "render", refuse)
    assert "no alternative text" in project.run().entries["one"]["reason"]
    monkeypatch.setattr(pages, "render", crash)
    monkeypatch.setattr(pages, "render_failure", crash)
    result = project.run()
    assert result.entries["one"]["state"] == "failed"
    text = (project.published() / "one.failed.html").read_text(encoding="utf-8")
    assert "Something unexpected happened" in text
    assert "KeyError" not in text
    assert "KeyError" in (project.reports.state / "errors.log").read_text(encoding="utf-8")


@pytest.mark.usefixtures("instantly")
def test_one_run_at_a_time(project: Project) -> None:
    project.notebook("one", PASS)
    project.simple("one")
    with project.reports.lock():
        began = time.monotonic()
        with pytest.raises(BusyError, match="--wait"):
            project.run()
        assert time.monotonic() - began < 1
    assert project.run(wait=True).status == 0


@pytest.mark.usefixtures("instantly")
def test_what_a_crash_left_is_cleaned_and_nothing_is_lost(project: Project) -> None:
    project.notebook("one", FINDING, parameters=NUMBER)
    project.simple("one")
    project.run()
    good = project.published()
    index = project.reports.index.read_bytes()
    # Killed while writing; and killed between the two steps of publishing.
    leftover = project.reports.stage("29990101T000000-000Z")
    (leftover / "run" / "one.html").write_text("half")
    unseen = project.reports.runs / "29990101T000000-000Z"
    shutil.copytree(good, unseen)
    assert project.reports.published()["id"] == good.name
    assert project.run().made == ()
    assert not leftover.exists()
    assert not unseen.exists()
    assert project.reports.index.read_bytes() == index
    # The record that says what is up to date is damaged.
    (good / "run.json").write_bytes(b"no record")
    assert project.run().made == ("one",)
    assert project.run().made == ()
    # The index is removed by hand.
    newest = project.published()
    project.reports.index.unlink()
    assert project.reports.published()["id"] == newest.name


@pytest.mark.usefixtures("instantly")
def test_an_unpublished_run_counts_for_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tasks were remembered as done, but the run was never published."""
    project.notebook("one", FINDING, parameters=NUMBER)
    project.simple("one")
    project.run()
    before = project.published()

    def killed(*_: Any, **__: Any) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pages, "index_page", killed)
        with pytest.raises(KeyboardInterrupt):
            project.run(settings={"x": "2"})
    assert project.published() == before
    assert not list(project.reports.state.glob("staging-*"))
    assert project.run(settings={"x": "2"}).made == ("one",)


def test_data_fingerprint(project: Project) -> None:
    def mark(data: str) -> str | None:
        return Address.read(data).mark()

    folder = project.root / "data"
    folder.mkdir()
    seen = [mark("data")]
    (folder / "a.csv").write_text("1")
    seen.append(mark("data"))
    os.utime(folder / "a.csv", ns=(1, 1))
    seen.append(mark("data"))
    (folder / "b").mkdir()
    assert mark(str(folder)) == seen[-1]
    (folder / "a.csv").rename(folder / "b" / "a.csv")
    seen.append(mark("data"))
    assert len(set(seen)) == 4
    assert None not in seen
    assert mark("postgres://host/shop") is None
    assert mark("file://data") == seen[-1]


def test_code_digest(tmp_path: Path) -> None:
    (tmp_path / "inner" / "__pycache__").mkdir(parents=True)
    (tmp_path / "inner" / "page.html.j2").write_text("a")
    first = graph.code_digest(tmp_path)
    (tmp_path / "inner" / "__pycache__" / "code.pyc").write_text("b")
    assert graph.code_digest(tmp_path) == first
    (tmp_path / "inner" / "page.html.j2").write_text("b")
    assert graph.code_digest(tmp_path) != first


def test_a_report_about_the_run_is_made_after_all_others_whichever_were_asked_for(project: Project) -> None:
    said = """
    from tenure import report
    reports = report.this_run()["reports"]
    report.text("{words}", words=", ".join(f"{n} {e['state']} {len(e['findings'])}" for n, e in reports.items()))
    """
    project.notebook("sums_up", said, FINDING.replace("x,", "2,"))
    project.notebook("good", FINDING, parameters=NUMBER)
    project.notebook("fails", "1 / 0")
    project.runbook("""
        reports:
          - {name: sums_up, notebook: sums_up.ipynb, needs: all}
          - {name: good, notebook: good.ipynb}
          - {name: fails, notebook: fails.ipynb}
    """)

    assert project.run("good").made == ("good", "sums_up")
    assert "good ok 1, fails never_run 0" in (project.published() / "sums_up.html").read_text()
    assert project.run("sums_up").made == ("fails", "sums_up")
    assert "good ok 1, fails failed 0" in (project.published() / "sums_up.html").read_text()
    # What it is made of has not changed, though the one that failed is tried again.
    assert project.run("good").made == ()
    assert project.record()["reports"]["sums_up"]["summary"]
