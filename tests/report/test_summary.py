"""What a run comes to: which changes are real, what is told first, and what is doubtful."""

from __future__ import annotations

import itertools
from dataclasses import asdict

import numpy as np
import pytest
from bs4 import BeautifulSoup
from statsmodels.stats.multitest import multipletests

from tenure.errors import InputError, NotApplicable
from tenure.report import make_finding, summarize, this_run
from tenure.report.summary import brief, claims_table
from tenure.result import Estimate, counted


def share(id: str, moved: float, spread: float = 0.01, **more) -> dict:
    """A share of 1,000 customers that has moved by so much, with so large a standard error."""
    change = Estimate(moved, moved - 1.959964 * spread, moved + 1.959964 * spread, unit="points")
    now = Estimate(0.5, 0.4, 0.6, n=1000, of="customer", unit="percent")
    estimate = now.versus(Estimate(0.5 - moved, unit="percent"), change, "a year ago")
    return asdict(make_finding(id, "{value} of customers.", estimate, **more))


def money(id: str, value: float, then: float | None = None, **more) -> dict:
    amount = counted(value, 9, of="customer", unit="money:EUR")
    amount = amount if then is None else amount.against(counted(then, unit="money:EUR"), "the month before")
    return asdict(make_finding(id, "{value} came in.", amount, **more))


def entry(name: str, *findings: dict, **more) -> dict:
    blank = {"title": f"{name.capitalize()}: what is it?", "state": "ok", "reason": "", "page": f"{name}.html",
             "as_of": "2026-10-31", "notebook": f"{name}.ipynb", "parameters": {}, "findings": list(findings)}  # fmt: skip
    return blank | more


def run(**entries: dict) -> dict:
    return {"reports": entries, "breaches": [], "history": {}}


METRICS = (
    money("mrr.total", 10_000_00, 9_000_00, better="up", lead=True),
    money("customers.paying", 1000),
    share("churn.monthly", 0.001, better="down", lead=True),
    share("mrr.kept", -0.2, better="up"),
)  # fmt: skip


def test_what_is_estimated_is_judged_together_as_statsmodels_does_it():
    moves = [0.001, 0.02, -0.03, 0.022, 0.0, 0.05]
    summary = summarize(
        run(a=entry("a", *(share(f"x.n{place}", moved) for place, moved in enumerate(moves))))
    )
    claims = sorted(summary.claims, key=lambda claim: claim["id"])
    real, adjusted, *_ = multipletests([claim["p"] for claim in claims], 0.05, "fdr_bh")
    assert [claim["real"] for claim in claims] == real.tolist() == [False, False, True, False, False, True]
    assert [claim["adjusted"] for claim in claims] == pytest.approx(adjusted)
    assert claims[1]["p"] == pytest.approx(0.0455, abs=1e-4)  # two standard errors
    # Alone, two standard errors are clear.
    assert claims[1]["verdict"] == "higher"
    assert "50% of customers" in claims[1]["sentence"]
    assert claims[1]["judged"] == "from 48% (a year ago), which may be chance"
    assert "2 changes among 6 comparisons may be chance, though clear alone." in summary.doubts
    assert claims_table(summary).frame["real"].sum() == summary.real().value == 2


def test_noise_is_called_real_as_rarely_as_is_said():
    rng, trials = np.random.default_rng(8), 200
    moved = rng.normal(0, 0.01, (trials, 100))
    wrong = [
        any(claim["real"] for claim in summarize(run(a=entry("a", *findings))).claims)
        for findings in ([share(f"x.n{place}", m) for place, m in enumerate(row)] for row in moved[:, :30])
    ]
    assert np.mean(wrong) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)
    # Five of a hundred look clear alone.
    assert 0.03 < np.mean(np.abs(moved) > 1.96 * 0.01) < 0.07


def test_the_first_report_speaks_first_then_real_changes_by_the_revenue_they_concern():
    other = entry("use", share("use.often", 0.04), share("use.seldom", 0.1), share("nps.score", 0.001))
    summary = summarize(run(metrics=entry("metrics", *METRICS), use=other))
    said = [line["id"] for line in summary.happened]
    assert said == ["mrr.total", "churn.monthly", "mrr.kept", "use.seldom"]  # one story is told once
    assert summary.happened[2]["link"] == "metrics.html#finding-mrr-kept"
    # Of 1,000 customers 200 more are concerned, who pay 10 each.
    assert summary.happened[2]["effect"] == pytest.approx(200 * 10_00)
    assert summary.happened[0]["judged"] == "better than €9,000 (the month before)"


def test_a_change_that_the_last_run_told_counts_half():
    record = run(a=entry("a", share("use.old", 0.1), share("nps.new", 0.08), *METRICS[:2]))
    record["history"] = {"a": {"use.old": [["t", 0.5], ["u", 0.5]], "nps.new": [["t", 0.4], ["u", 0.5]]}}
    rank = {claim["id"]: claim["rank"] for claim in summarize(record).claims}
    assert rank["nps.new"] > rank["use.old"]


def test_the_order_of_reports_makes_no_difference():
    parts = {
        "metrics": entry("metrics", *METRICS), "use": entry("use", share("use.often", 0.04)),
        "late": entry("late", share("churn.monthly", 0.3), as_of="2026-09-30"),
        "off": entry("off", state="failed", reason="It broke."),
        "worth": entry("worth", money("clv.x", 5, lead=True, unless="More.")),
    }  # fmt: skip
    orders = [summarize(run(**dict(order))) for order in itertools.permutations(parts.items())]
    assert all(order == orders[0] for order in orders)


def test_without_a_report_only_its_lines_are_gone():
    parts = {"metrics": entry("metrics", *METRICS), "use": entry("use", share("use.often", 0.04))}
    both, one = summarize(run(**parts)), summarize(run(metrics=parts["metrics"]))
    assert [line["id"] for line in both.happened if line["report"] != "use"] == [
        line["id"] for line in one.happened
    ]


def test_decisions_stand_once_the_most_valuable_first():
    first = money("a.lever", 500, lead=True, unless="A cost of more than {value}.")
    summary = summarize(
        run(a=entry("a", first, share("a.share", 0.1, unless="Others.")), b=entry("b", {**first, "id": "b.lever"}),
            c=entry("c", money("c.lever", -900, unless={"known": "Never.", "none": ""})))
    )  # fmt: skip
    assert [line["id"] for line in summary.decisions] == ["c.lever", "b.lever", "a.share"]
    assert summary.decisions[1]["unless"] == "A cost of more than €5.00."
    assert not summary.happened or summary.happened[0]["id"] == "a.share"


def test_what_is_missing_old_or_at_odds_is_said():
    record = run(
        a=entry("a", money("mrr.total", 5)), b=entry("b", money("mrr.total", 6)),
        it=entry("it", money("mrr.total", 2), parameters={"only": "country = 'IT'"}),
        old=entry("old", money("mrr.total", 7), as_of="2026-09-30"),
        off=entry("off", state="not_applicable", reason="There are no surveys.", page=None),
        self=entry("self", money("mrr.total", 1), summary=True),
    )  # fmt: skip
    record["breaches"] = [{"report": "a", "finding": "mrr.total", "sentence": "mrr.total is 5, below 6."}]
    summary = summarize(record, base="runs/x/")
    assert summary.doubts == [
        "Off: There are no surveys.",
        "Old is as of Sep 30, 2026, others are as of Oct 31, 2026.",
        "A puts mrr.total at €0.05, B at €0.06: do not rely on either.",
    ]
    assert summary.limits[0]["link"] == "runs/x/a.html"


def test_two_sides_of_one_matter_are_told_apart():
    asked = asdict(make_finding("price.a", "{value}", counted(3, 9, of="customer"), unless="x"))
    shown = asdict(make_finding("price.b", "{value}", counted(4, 80, of="visitor"), unless="x"))
    summary = summarize(run(a=entry("a", asked), b=entry("b", shown)))
    assert summary.doubts == [
        "A is about 9 customers, B about 80 visitors: their numbers are not of the same people."
    ]


def test_a_number_without_an_interval_is_no_change():
    then, moved = Estimate(0.1, unit="percent"), Estimate(0.4, unit="points")
    now = Estimate(0.5, unit="percent").versus(then, moved, "a year ago")
    found = asdict(make_finding("a.b", "{value}", now))
    assert summarize(run(a=entry("a", found))).claims == []


def test_a_page_of_many_words_is_cut_but_for_what_is_doubtful():
    wordy = [share(f"x{place}.y", 0.1, better="up") | {"sentence": "word " * 60} for place in range(9)]
    summary = summarize(run(a=entry("a", *wordy), off=entry("off", state="failed", reason="It broke.")))
    assert 1 < len(summary.happened) < 7
    assert summary.doubts == ["Off: It broke."]


def test_an_empty_run_still_has_a_page(capsys):
    summary = summarize(run())
    for part in ("happened", "decisions", "doubts"):
        brief(summary, part)
    assert capsys.readouterr().out == "There is nothing to say.\n" * 3


def test_hostile_words_are_shown_as_they_are():
    from tenure.report.summary import pages

    found = money("a.b", 5, 4, lead=True) | {"sentence": "<script>alert(1)</script>"}
    module = pages().get_template("brief.html.j2").module
    soup = BeautifulSoup(str(module.happened(summarize(run(a=entry("a", found))))), "html.parser")
    assert soup.select_one("a").text == "<script>alert(1)</script>"


def test_a_run_is_found_or_missed_in_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "run.json").write_text('{"reports": {}}', encoding="utf-8")
    assert this_run(str(tmp_path)) == {"reports": {}}
    monkeypatch.setenv("TENURE_UPSTREAM", str(tmp_path))
    assert this_run() == {"reports": {}}
    (tmp_path / "run.json").unlink()
    with pytest.raises(NotApplicable, match="No run has been made yet"):
        this_run()
    with pytest.raises(InputError, match=r"holds no run\.json\. Fix: name a folder of reports/runs\."):
        this_run(str(tmp_path))
