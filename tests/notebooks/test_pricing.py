"""The pricing workbooks: the truth of the demo company, and every way in which an experiment can fail."""

from __future__ import annotations

import html
import json
import re
import shutil

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from notebooks.running import NOTEBOOKS, findings
from tenure.paths import project_root

CASES = project_root().parent / "shared" / "cases"
EXPERIMENT, RESEARCH = "60_pricing_experiment.ipynb", "61_price_research.ipynb"


@pytest.fixture(scope="module")
def of_demo(run, demo):
    return findings(run(EXPERIMENT))


# What the truth was computed with: 4 a month for serving somebody, 1 % a month, no fees, one currency.
TRUE_COSTS = {"unit_cost": 4.0, "discount_rate": 1.01**12 - 1, "fee_share": 0.0, "fee_fixed": 0.0}


def all_in(currency):
    """The tables of money as if everybody paid in one currency."""
    return dict.fromkeys(
        ("subscriptions", "payments"), f"select * replace ('{currency}' as currency) from {{old}}"
    )


@pytest.fixture(scope="module")
def of_truth(run, demo, tmp_path_factory):
    """The experiment of customers who all pay in euros, at the costs of the truth."""
    folder = variant(tmp_path_factory.mktemp("euros"), demo, **all_in("EUR"))
    return findings(run(EXPERIMENT, data=folder, **TRUE_COSTS))


def variant(folder, demo, **tables):
    """The demo company without its events, with some tables rebuilt by SQL from the old ones."""
    keep = ["customers", "subscriptions", "assignments", "payments", "visits", "surveys", "fx_rates"]
    for name in keep:
        target, source = folder / f"{name}.parquet", demo / f"{name}.parquet"
        if name not in tables:
            shutil.copy(source, target)
        elif tables[name]:
            query = tables[name].replace("{old}", f"'{source}'")
            duckdb.sql(f"copy ({query}) to '{target}'")
    return str(folder)


def words_of(ran):
    """What a notebook said in plain text."""
    return " ".join(
        output["data"].get("text/plain", "")
        for cell in ran.notebook.cells
        for output in cell.get("outputs", [])
        if "data" in output
    )


def alternatives_of(ran):
    """What figures are said to show, to those who do not see them."""
    shown = [output for cell in ran.notebook.cells for output in cell.get("outputs", [])]
    pages = " ".join(output.get("data", {}).get("text/html", "") for output in shown)
    return html.unescape(" ".join(re.findall(r'role="img" aria-label="([^"]*)"', pages)))


def said_price(variants, sentence):
    """The variant whose price a sentence says; they are named by it."""
    return next(v for v in variants if f"€{v[-4:-2]}.{v[-2:]}" in sentence)


# --- the experiment -----------------------------------------------------------------------------------


def test_the_best_price_and_the_verdict_agree_with_the_truth(of_truth, truth):
    known = truth["price_experiment"]["12_months"]
    best = of_truth["pricing.best_price"]
    assert best["low"] <= known["best_price_minor"] <= best["high"]
    # No price tested is worth a change of a twentieth: the truth is to keep the control.
    values = known["value_per_visitor"]
    gain = max(v / values["control"] - 1 for v in values.values())
    assert gain < 0.05
    assert of_truth["pricing.decision"]["sentence"].startswith("Keep €12.99. ")
    shown = of_truth["pricing.decision"]
    name = said_price(values, shown["sentence"])
    difference = 100 * (values[name] - values["control"])
    assert shown["low"] <= difference <= shown["high"]


def test_the_verdict_rests_on_the_arms_and_stands_in_its_own_interval(run, tmp_path_factory):
    ran = run(EXPERIMENT)
    found = findings(ran)["pricing.decision"]
    assert found["low"] <= found["value"] <= found["high"]
    decided = pd.read_csv(ran.exports / "pricing_decision.csv").set_index("variant")
    name = said_price(decided.index, found["sentence"])
    row = decided.loc[name]
    assert [found["value"], found["low"], found["high"]] == pytest.approx(
        [row["difference"], row["difference_low"], row["difference_high"]]
    )
    # The sign that is said is that of the number, and the curve stands beside it.
    assert (" less in " in found["sentence"]) == (found["value"] < 0)
    said = words_of(ran)
    assert "A curve through all prices" in said
    shown = next(
        o["data"]["text/html"]
        for cell in ran.notebook.cells
        for o in cell.get("outputs", [])
        if "What a visitor is worth within 12 months" in o.get("data", {}).get("text/html", "")
    )
    # The one number of a row that has an interval.
    values = dict(re.findall(r'scope="row">(\w+)</th>.*?>([\d.]+)<small>', shown, re.DOTALL))
    gap = round(100 * (float(values[name]) - float(values["control"])))
    assert found["value"] == pytest.approx(gap, abs=1)


def test_currencies_are_converted_and_not_added_one_to_one(run, demo, tmp_path_factory, of_truth):
    """Everybody in dollars is worth what they are in euros, at the rate: prices are the same figures."""
    folder = tmp_path_factory.mktemp("dollars")
    rate = 0.4
    rates = f"select * replace (case currency when 'USD' then {rate} else rate end as rate) from {{old}}"
    dollars = variant(folder, demo, **all_in("USD"), fx_rates=rates)
    costs = TRUE_COSTS | {"unit_cost": 4.0 * rate}
    found = findings(run(EXPERIMENT, data=dollars, reporting_currency="EUR", **costs))
    for name in ("pricing.decision", "pricing.expected_loss", "pricing.churn_ignored"):
        assert found[name]["unit"] == "money:EUR"
        assert found[name]["value"] == pytest.approx(rate * of_truth[name]["value"], rel=1e-6), name
    # A price is shown as it is charged.
    assert found["pricing.best_price"]["unit"] == "money:USD"
    assert found["pricing.best_price"]["value"] == pytest.approx(of_truth["pricing.best_price"]["value"])


def test_the_two_workbooks_of_prices_speak_of_different_people_and_name_each_other():
    for notebook, other in ((EXPERIMENT, "price_research.html"), (RESEARCH, "pricing_experiment.html")):
        cells = json.loads((NOTEBOOKS / notebook).read_text())["cells"]
        title = "".join(cells[0]["source"])
        assert f"({other})" in title
        assert "existing" in title
        assert "new" in title


def test_a_month_leaves_what_company_yml_says(run, demo, tmp_path):
    company = tmp_path / "company.yml"
    company.write_text("margin: 0.5\nfee_share: 0.02\nfee_fixed: 0.3\n")
    found = findings(run(RESEARCH, company=str(company), plan="Standard", rise=2.0))
    before, after = (x * 0.98 - 0.3 - 0.5 * 12.99 for x in (12.99, 14.99))
    assert found["pricing.break_even_churn"]["value"] == pytest.approx((after - before) / after)


def test_it_shows_what_ignoring_churn_would_have_cost(of_truth, truth):
    known = truth["price_experiment"]["12_months"]
    lost = 100 * (known["value_per_visitor_at_best_price"] - known["value_per_visitor_if_churn_is_ignored"])
    found = of_truth["pricing.churn_ignored"]
    assert found["value"] > 0
    assert found["low"] <= lost <= found["high"]


def test_who_pays_more_pays_for_fewer_days(of_demo):
    days = of_demo["pricing.paid_days"]
    assert "€17.99" in days["sentence"]
    assert days["verdict"] == "worse"


def test_looked_at_early_intervals_are_wider_and_a_longer_horizon_is_marked_as_a_models(run, of_demo):
    ran = run(EXPERIMENT, looks=20, planned_sample=10_000, horizon=24)
    one, many = (found["pricing.decision"] for found in (of_demo, findings(ran)))
    assert many["high"] - many["low"] > 1.2 * (one["high"] - one["low"])
    shown = [o["data"] for cell in ran.notebook.cells for o in cell.get("outputs", []) if "data" in o]
    table = next(
        d["text/html"] for d in shown if "What a visitor is worth within 24" in d.get("text/plain", "")
    )
    assert "Tail" in table


def test_a_broken_split_is_the_headline(run, demo, tmp_path):
    few = "variant <> 'price_1499' or customer_id is not null or hash(unit_id) % 5 > 0"
    lost = "select * from {old} where " + few
    found = findings(run(EXPERIMENT, data=variant(tmp_path, demo, assignments=lost)))
    assert next(iter(found)) == "pricing.integrity"
    assert "Do not decide" in found["pricing.integrity"]["sentence"]
    assert "Do not decide on this experiment" in found["pricing.decision"]["sentence"]


def test_two_prices_have_an_elasticity(run, demo, tmp_path):
    two = "select * from {old} where variant in ('control', 'price_1799')"
    found = findings(run(EXPERIMENT, data=variant(tmp_path, demo, assignments=two)))
    elasticity = found["pricing.elasticity"]
    p, q = np.array([12.99, 17.99]), 1 / (1 + np.exp(0.095 * np.array([12.99, 17.99])))
    true = (q[1] - q[0]) / q.sum() / ((p[1] - p[0]) / p.sum())
    assert elasticity["low"] <= true <= elasticity["high"]
    assert "pricing.best_price" not in found


def test_without_prices_it_decides_on_margin_alone(run, demo, tmp_path):
    unpriced = "select * replace (null::bigint as price_minor) from {old}"
    ran = run(EXPERIMENT, data=variant(tmp_path, demo, assignments=unpriced))
    assert "pricing.decision" in findings(ran)
    assert "has no price for" in words_of(ran)


def test_an_arm_without_a_price_leaves_prices_out_in_a_sentence(run, demo, tmp_path):
    unpriced = "select * replace (if(variant = 'price_999', null, price_minor) as price_minor) from {old}"
    ran = run(EXPERIMENT, data=variant(tmp_path, demo, assignments=unpriced))
    found = findings(ran)
    assert "pricing.decision" in found
    assert "pricing.best_price" not in found
    assert "has no price for" in words_of(ran)


@pytest.mark.parametrize(
    ("assignments", "parameters", "state", "words"),
    [
        (
            "select * from {old}",
            {"planned_split": {"control": 1, "price_99": 1}},
            "failed",
            "price_99 has no",
        ),
        ("select * from {old} where variant = 'control'", {}, "not_applicable", "with one arm"),
        (
            "select * replace (if(variant = 'price_999', 'price_9999', variant) as variant) from {old}",
            {"planned_split": dict.fromkeys(["control", "price_999", "price_1499", "price_1799"], 1)},
            "failed",
            "price_999 has no units and price_9999 was not planned",
        ),
        ("select * from {old}", {"control": "contrl"}, "failed", "'contrl'"),
        ("select * from {old}", {"alpha": 5.0}, "failed", "`alpha`"),
        ("", {}, "not_applicable", "assignments"),
    ],
)
def test_what_cannot_be_decided_ends_in_a_sentence(
    run, demo, tmp_path, assignments, parameters, state, words
):
    ran = run(EXPERIMENT, data=variant(tmp_path, demo, assignments=assignments), **parameters)
    assert ran.state == state, ran.reason
    assert words in ran.reason
    assert "Traceback" not in ran.reason


@pytest.mark.parametrize(
    ("assignments", "parameters", "words"),
    [
        ("select * from {old} where customer_id is null", {}, "Nobody has subscribed for a month"),
        ("select * from {old}", {"window_days": 700}, "long enough ago"),
        ("select * replace (999 as price_minor) from {old}", {}, "All variants have the same price"),
        (
            "select * from {old}",
            {"outcome": "payment", "on_day": 0, "window_days": 14},
            "with the outcome: payment",
        ),
    ],
)
def test_a_section_that_cannot_be_answered_ends_in_a_sentence_and_the_page_goes_on(
    run, demo, tmp_path, assignments, parameters, words
):
    ran = run(EXPERIMENT, data=variant(tmp_path, demo, assignments=assignments), **parameters)
    findings(ran)
    assert words in words_of(ran) + alternatives_of(ran)
    assert "Checks before any effect" in words_of(ran)
    assert "Traceback" not in words_of(ran)


def case(name):
    folder = CASES / name
    if not folder.is_dir():
        pytest.skip("the cases are not here")
    return str(folder)


def checks_of(ran):
    """The result of each check of an experiment."""
    said = "".join(
        o["data"].get("text/html", "")
        for c in ran.notebook.cells
        for o in c.get("outputs", [])
        if "data" in o
    )
    rows = re.findall(r'<th scope="row">([^<]*)</th><td[^>]*>(passed|look|failed)</td>', said)
    return dict(rows)


def test_the_case_of_nobody_converted_cannot_tell(run):
    ran = run(EXPERIMENT, data=case("nobody_converted"), planned_split={"control": 0.94, "higher": 0.06})
    found = findings(ran)["pricing.decision"]
    assert "Keep the experiment running" in found["sentence"]
    assert found["low"] < 0 < found["high"]
    assert "p < .001" not in words_of(ran)


def test_the_cases_of_experiments_have_a_page(run):
    same = run(EXPERIMENT, data=case("same_price"), window_days=30)
    assert "pricing.decision" in findings(same)
    assert "All variants have the same price" in words_of(same)
    split = run(EXPERIMENT, data=case("sample_ratio"), window_days=30, as_of="2024-06-30")
    assert findings(split)["pricing.decision"]["sentence"].startswith("Keep ")
    assert checks_of(split)["sample ratio"] == "look"
    prices = run(EXPERIMENT, data=case("two_prices"), window_days=30, as_of="2024-06-30")
    assert "20 of the 2,020 in test" in findings(prices)["pricing.integrity"]["sentence"]


def test_one_day_of_assignments_is_no_pace_and_a_few_conversions_are_not_capped_to_nothing(run):
    ran = run(EXPERIMENT, data=case("rare_conversions"), window_days=1)
    found = findings(ran)["pricing.expected_loss"]
    assert found["sentence"].startswith("Over 2,000 visitors")
    assert "a year of" not in found["sentence"]
    assert "Charge" not in words_of(ran)
    effects = pd.read_csv(ran.exports / "pricing_effects.csv").set_index("measure")
    assert (effects.loc["margin", "value"] > 0).all()


def test_negative_revenue_still_makes_a_report(run, demo, tmp_path):
    back = "select * replace (case when status = 'paid' then 'refunded' else status end as status) from {old}"
    found = findings(run(EXPERIMENT, data=variant(tmp_path, demo, payments=back)))
    assert "pricing.decision" in found


# --- research -----------------------------------------------------------------------------------------


def test_the_price_meter_finds_what_people_were_made_to_say(run, truth):
    found = findings(run(RESEARCH))
    known = truth["price_research"]
    shares = {"explorer": 0.34, "bargain_hunter": 0.28, "comfort_seeker": 0.38}
    grid = np.arange(2, 30, 0.01)

    def above(question):
        """Share whose answer is a price or more, for the mixture of classes."""
        medians = {kind: known["medians"][kind][question] for kind in shares}
        return sum(
            share * stats.norm.sf(np.log(grid / medians[kind]) / known["log_spread"])
            for kind, share in shares.items()
        )

    optimal = grid[(1 - above("too_expensive") >= above("too_cheap")).argmax()]
    highest = grid[(1 - above("too_expensive") >= above("expensive")).argmax()]
    for name, true in (("optimal_price_point", optimal), ("highest_acceptable", highest)):
        row = found[f"pricing.{name}"]
        # Answers are rounded to halves, and a rise of 0.5 is seen up to 0.25 too early or too late.
        assert row["low"] - 30 <= 100 * true <= row["high"] + 30, name


def test_the_last_rise_is_seen_to_have_made_people_trade_down_not_leave(run, demo, truth):
    found = findings(run(RESEARCH, plan="Standard"))
    left, cheaper = found["pricing.last_rise_left"], found["pricing.last_rise_cheaper"]
    assert truth["price_increase"]["hazard_ratio"] == 1
    assert left["verdict"] == "no clear change"
    assert cheaper["verdict"] == "worse"


def test_stated_demand_and_choices_give_back_what_people_were_made_to_want(run, truth):
    known = truth["price_research"]
    offers = [
        "plain: price=10; term=month; ads=no; sports=no",
        "cheap: price=7; term=month; ads=yes; sports=no",
    ]
    ran = run(RESEARCH, offers=offers)
    found = findings(ran)
    dearest = found["pricing.willingness_to_pay"]
    assert "With ads yes, not no," in dearest["sentence"]
    assert dearest["low"] <= 100 * known["willingness_to_pay"]["ads=yes"] <= dearest["high"]
    stated = found["pricing.stated_demand"]
    price = next(p for p in known["would_buy"] if f"at €{p}" in stated["sentence"])
    assert stated["low"] <= known["would_buy"][price] <= stated["high"]
    # Where stated revenue is highest, among the prices asked about.
    revenue = {p: float(p) * share for p, share in known["would_buy"].items() if p != "notes"}
    assert price == max(revenue, key=revenue.get)
    # Alike in what they are worth, and chosen as often: three units less for three units' worth of ads.
    plain, cheap = (float(share) for share in re.findall(r"(?:plain|cheap) ([\d.]+)%", alternatives_of(ran)))
    assert plain == pytest.approx(cheap, abs=6)


def test_without_surveys_and_events_those_sections_are_left_out(run, demo, tmp_path):
    ran = run(RESEARCH, data=variant(tmp_path, demo, surveys=""))
    assert set(findings(ran)) >= {"pricing.break_even_churn", "pricing.term_discount"}
    said = words_of(ran)
    assert said.count("left out") == 3
    assert "no usage to bill" in said
