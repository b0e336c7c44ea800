"""Pages of the eight business models: no sentence contradicts what is true of the company."""

from __future__ import annotations

import pytest

from businesses.models import ALL
from notebooks.companies import words
from notebooks.running import findings


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    """Run a notebook on a company, told what it needs."""

    def of(notebook, name, *, size=None, **parameters):
        company = ALL[name](**({"size": size} if size else {}))
        data = company.write(tmp_path_factory.mktemp(name))
        return company, run(notebook, data=data, as_of="2026-06-30", **parameters)

    return of


@pytest.mark.parametrize("name", ["new_numbers", "gym", "meal_kit", "three_years"])
def test_the_page_on_churn_holds_the_truth(page, name):
    company, ran = page("30_churn_curves.ipynb", name)
    kept = findings(ran)["churn.retention"]
    truth = company.truth["there_after_a_year"]
    assert kept["low"] <= truth <= kept["high"] or kept["value"] == truth == 1


def test_deals_of_three_years_are_due_as_such(page):
    company, ran = page("10_metrics.ipynb", "three_years")
    found = findings(ran)["churn.at_renewal"]
    assert found["sentence"].startswith("Of terms of 3 years that ended ")
    assert found["n"] == company.truth["due"]
    said = words(page("30_churn_curves.ipynb", "three_years")[1])
    assert "leave in month 36" in said
    assert "there is no renewal peak" not in said


def test_gifts_lead_no_advice(page):
    ran = page("30_churn_curves.ipynb", "gifts", by="plan")[1]
    best = findings(ran)["churn.best_lever"]
    assert "renewal" not in best["sentence"]
    ran = page("10_metrics.ipynb", "gifts")[1]
    assert "100% not renewed" not in words(ran)


@pytest.mark.parametrize(
    ("name", "price", "seats", "often"),
    [
        ("meal_kit", 60, 1, "every 1 week"),
        ("new_numbers", 90, 1, "every 3 month"),
        ("three_years", 1_200, 1, "every 1 year"),
    ],
)
def test_price_research_answers_for_weeks_quarters_and_years(page, name, price, seats, often):
    ran = page("61_price_research.ipynb", name)[1]
    found = findings(ran)
    # Raised by 2: what a charge leaves rises by 2 less the fee's share of it.
    more = 2 * (1 - 0.015)
    left = price * (0.7 - 0.015) - 0.25
    assert found["pricing.break_even_churn"]["value"] == pytest.approx(more / (left + more))
    assert "pricing.term_discount" in found
    assert f"paid {often}" in words(ran)


@pytest.mark.parametrize(
    "name", ["seats", "club", "new_numbers", "publisher", "gifts", "meal_kit", "gym", "three_years", "usage"]
)
def test_the_page_on_value_holds_the_truth(page, name):
    """What today's customers and a new one are worth, by the chances that made the company."""
    company, ran = page("40_clv.ipynb", name)
    found = findings(ran)
    for key, right in (("clv.base_value", "base_value"), ("clv.new_customer", "new_value")):
        assert found[key]["low"] <= company.truth[right] <= found[key]["high"], key


def test_a_few_large_accounts_do_not_carry_a_new_customer(page):
    company, ran = page("40_clv.ipynb", "few_carry")
    found = findings(ran)["clv.new_customer"]
    # One customer has left: that hardly bounds the chance to leave, and so the value.
    assert (
        found["low"] <= company.truth["new_value"] <= found["value"] <= found["high"] <= company.truth["most"]
    )


def test_an_app_is_valued_by_the_commission_of_each_customers_store(page):
    company, ran = page("40_clv.ipynb", "app")
    found = findings(ran)
    base = company.truth["base_app_store"] + company.truth["base_web"]
    assert found["clv.base_value"]["low"] <= base <= found["clv.base_value"]["high"]
    assert "each customer's own by store" in words(ran)
    assert "Not in it are 266 customers who paid once, €31,920 in all." in words(ran)
    ran = page("41_clv_budgets.ipynb", "app")[1]
    assert "An offer to customers of Monthly, web" in findings(ran)["clv.retention_budget"]["sentence"]
    said = words(page("10_metrics.ipynb", "app")[1])
    assert "bought by 266 customers for €31,920" in said
    assert "access paid once" not in said
