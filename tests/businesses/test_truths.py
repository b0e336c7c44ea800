"""Rows of what is true of each business model, found again by the measures: no page, so that every run has them.

Values are those of pages: tests/notebooks/test_businesses.py.
"""

from __future__ import annotations

import pandas as pd
import pytest

import tenure
from businesses.making import UNTIL
from businesses.models import ALL
from tenure.economics import read_economics
from tenure.measures import revenue, subscriptions, units
from tenure.models import rates, worth
from tenure.policy import named
from tenure.sources import check
from tenure.stats.survival import kaplan_meier

LAST = pd.Timestamp(UNTIL).date() - pd.Timedelta(days=1)
MONTH = LAST.year * 12 + LAST.month - 1


def opened(company, folder, *, told=True):
    """A company's tables as it is to be told, and its rules."""
    data = company.write(folder, told=told)
    facts = read_economics("", data)
    rules, source = named("tenure", facts.rules), tenure.open_source(data, "")
    return source.instead(units.by_unit(source, rules.unit, rules.gap_days)), rules, facts


def renewed(source, rules):
    due = tenure.collect(revenue.renewals(source, as_of=LAST, policy=rules))
    return due, rates.renewals(due, MONTH)


@pytest.mark.parametrize("name", ["new_numbers", "three_years", "seats"])
def test_renewals_are_due_when_a_term_ends_and_lost_as_often_as_they_are(name, tmp_path):
    company = ALL[name]()
    due, found = renewed(*opened(company, tmp_path)[:2])
    lost = next(iter(found.values()))
    assert lost.low <= company.truth["not_renewed"] <= lost.high
    if name == "three_years":
        year = due[due["month"].between(MONTH - 11, MONTH)]
        assert (year["due"].sum(), year["lost"].sum()) == (company.truth["due"], company.truth["lost"])


def test_of_a_clubs_customers_a_third_leaves_after_the_first_term_and_few_later(tmp_path):
    company = ALL["club"]()
    source, rules, _ = opened(company, tmp_path)
    life = tenure.collect(subscriptions.life_table(source, as_of=LAST, policy=rules))
    stays = kaplan_meier(life, period="month").table.frame.set_index("period").loc[4]
    assert stays["survival_low"] <= 1 - company.truth["not_renewed_first"] <= stays["survival_high"]
    lost = next(iter(renewed(source, rules)[1].values()))
    assert company.truth["not_renewed"] < lost.value < company.truth["not_renewed_first"]


@pytest.mark.parametrize("name", ["meal_kit", "seats"])
def test_gross_retention_is_what_the_same_customers_still_pay(name, tmp_path):
    company = ALL[name]()
    source, rules, _ = opened(company, tmp_path)
    moments = tenure.collect(revenue.retention_moments(source, as_of=LAST, policy=rules))
    kept = rates.retention(moments, MONTH)["mrr.gross_retention"]
    assert kept.low <= company.truth["gross_retention"] <= kept.high


def test_gifts_that_nobody_tells_of_lead_no_advice_and_are_named(tmp_path):
    company = ALL["gifts"]()
    rows = company.tables["subscriptions"]
    rows.loc[rows["end_reason"] == "expired", "end_reason"] = "unknown"
    source, rules, facts = opened(company, tmp_path, told=False)
    gone = tenure.collect(subscriptions.churned_value(source, as_of=LAST, by="plan", policy=rules))
    assert set(gone.loc[gone["group"] == "Gift", "fate"]) == {"one term"}
    assert set(gone.loc[gone["group"] == "Monthly", "fate"]) == {""}
    assert "Gift" not in set(worth.within_reach(gone)["group"])
    found = renewed(source, rules)[1]
    lost = rates.at_renewal(rates.Metrics(found, found)).recent["churn.at_renewal"]
    assert (lost.value, lost.case) == (1, "all")
    assert {"all_end"} <= {problem.rule for problem in check(source, LAST, facts).warnings}


@pytest.mark.parametrize(
    ("name", "rule"),
    [("club", "came_back"), ("publisher", "several_at_once"), ("gym", "long_pause"), ("three_years", "long_term"),
     ("usage", "paying_usage"), ("app", "store"), ("seats", "belongs")],
)  # fmt: skip
def test_the_check_asks_for_the_setting_and_falls_silent_once_it_is_told(name, rule, tmp_path):
    company = ALL[name](size=60 if name == "seats" else 250)
    if name == "publisher":
        company = type(company)(company.tables, company.truth, {"rules": {"unit": "subscription"}})
    given = type(company)(company.tables, company.truth)  # its columns, without its settings
    if name == "three_years":
        given = company
    asked = {}
    for told in (False, True):
        source, _, facts = opened(company if told else given, tmp_path / str(told), told=told)
        asked[told] = {problem.rule for problem in check(source, LAST, facts).warnings}
    assert rule in asked[False]
    assert rule not in asked[True]
