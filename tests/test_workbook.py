"""What a workbook begins with: refused in one sentence, or open with one scope for every question."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

import tenure
from tenure.errors import InputError, NotApplicable
from tenure.measures import subscriptions
from tenure.models import worth
from tenure.policy import Gaps, MetricPolicy, named

PARAMETERS = {
    "data": "",
    "mapping": "",
    "company": "",
    "as_of": "",
    "by": "",
    "period": "month",
    "horizon": None,
    "min_group": 1,
    "start_from": "",
    "currency": "",
    "margin": None,
    "kept": 0.1,
}


@pytest.fixture
def names(tmp_path, monkeypatch):
    """The parameters of a notebook on nine in ten churned customers who paid 100, and survivors who pay 10."""
    monkeypatch.setenv("TENURE_ROOT", str(tmp_path))
    folder = tmp_path / "company"
    folder.mkdir()
    start, ids = dt.date(2023, 7, 1), range(200)
    rows = [(i, 100 if i < 90 or i >= 190 else 10, "" if i >= 100 else dt.date(2023, 8, 1)) for i in ids]
    (folder / "customers.csv").write_text(
        "customer_id,created_at,country\n" + "".join(f"{i},{start},{'IT' if i % 2 else 'FR'}\n" for i in ids)
    )
    (folder / "subscriptions.csv").write_text(
        "subscription_id,customer_id,plan,billing_interval,unit_amount_minor,currency,status,started_at,ended_at\n"
        + "".join(f"{i},{i},P,month,{price * 100},EUR,active,{start},{end}\n" for i, price, end in rows)
        # Something happens on the last day.
        + "trial,0,P,month,999,EUR,trialing,2023-12-31,\n"
    )

    def make(**changed):
        values = {**PARAMETERS, "data": str(folder), "as_of": "2023-12-31", **changed}
        kinds = {"horizon": "int", "margin": "float", "min_group": "int", "kept": "float"}
        cell = "\n".join(f"{name}: {kinds.get(name, 'str')} = None" for name in PARAMETERS)
        return {"In": ["", cell], **values}

    return make


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"as_of": "yesterday"}, "The parameter `as_of` is 'yesterday', which is no date"),
        ({"start_from": "2023"}, "The parameter `start_from` is '2023'"),
        ({"period": "year"}, "The parameter `period` is 'year'"),
        ({"horizon": 1}, "The parameter `horizon` is 1. Fix: give it a number of at least 2"),
        ({"horizon": "24"}, "must be a whole number (int), but '24' is str"),
        ({"min_group": 0}, "`min_group` is 0"),
        ({"kept": 2.0}, "`kept` is 2.0. Fix: give it a number from 0 to 1"),
        ({"margin": 5.0}, "The parameter `margin` is 5.0"),
        ({"company": "none.yml"}, "The company file none.yml does not exist"),
        ({"by": "contry"}, "did you mean 'country'?"),
        ({"currency": "EUX"}, "The parameter `currency` is 'EUX'"),
        ({"data": "nowhere"}, "nowhere"),
    ],
)
def test_what_is_wrong_is_refused_in_one_sentence(names, changed, words):
    with pytest.raises(InputError) as caught:
        tenure.open_workbook(names(**changed))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_limit_of_its_own_can_be_named(names):
    with pytest.raises(InputError, match=r"`kept` is 0\.1\. Fix: give it a number from 0\.5 to 1"):
        tenure.open_workbook(names(), kept=(0.5, 1))


def test_a_table_that_is_absent_is_not_applicable(names):
    with pytest.raises(NotApplicable, match="needs the table payments"):
        tenure.open_workbook(names(), needs=["subscriptions", "payments"])


def test_every_question_is_asked_with_one_scope(names, capsys):
    book = tenure.open_workbook(names(period="week", by="country", start_from="2023-07-01"))
    assert book.scope["as_of"] == book.as_of == dt.date(2023, 12, 31)
    assert book.scope["start_from"] == dt.date(2023, 7, 1)
    life = book.ask(subscriptions.life_table, by="country")
    expected = subscriptions.life_table(
        book.source, by="country", as_of=book.as_of, period="week", start_from=dt.date(2023, 7, 1)
    )
    assert life.equals(expected.to_pandas())
    assert "As of: Dec 31, 2023" in capsys.readouterr().out
    assert not book.by_month
    assert (book.currency, book.unit, book.month) == ("EUR", "money:EUR", 2023 * 12 + 11)
    assert book.factors() == {"EUR": 1.0}


def test_a_workbook_of_some_customers_and_that_of_all_do_not_share_what_is_settled(names):
    everybody = tenure.open_workbook(names())
    plans = everybody.source["subscriptions"]
    chosen = plans.filter(plans.customer_id == "3").select("customer_id")
    one = everybody.with_tables(subscriptions=plans.semi_join(chosen, "customer_id"))

    def customers(book):
        return book.ask(subscriptions.duration_counts, [])["n"].sum()

    assert customers(one) == 1
    assert customers(everybody) > 1
    assert customers(one) == 1


def test_days_and_months_are_those_of_the_companys_zone(names, tmp_path, capsys):
    file = tmp_path / "company" / "company.yml"
    file.write_text("time_zone: Asia/Kolkata\n")
    assert tenure.open_workbook(names()).source.time_zone == "Asia/Kolkata"
    assert "Time zone: Asia/Kolkata" in capsys.readouterr().out
    file.write_text("time_zone: UTC\n")
    assert tenure.open_workbook(names()).source.time_zone == "UTC"
    assert "Time zone" not in capsys.readouterr().out
    file.write_text("time_zone: Mars\n")
    with pytest.raises(InputError, match=r"^company\.yml: time_zone is 'Mars'; a time zone is written like"):
        tenure.open_workbook(names())


def test_the_horizon_is_a_parameter_or_the_companys(names, tmp_path):
    (tmp_path / "company" / "company.yml").write_text("horizon_months: 12\nmargin: 0.5\n")
    assert tenure.open_workbook(names()).horizon == 12
    assert tenure.open_workbook(names(period="week")).horizon == 52
    book = tenure.open_workbook(names(horizon=6, margin=0.9))
    assert (book.horizon, book.economics.margin, book.economics.overridden) == (6, 0.9, ("margin",))


def test_who_churned_is_valued_at_the_price_they_paid(names, tmp_path):
    """22,750 per 1,000 over six months; here for the 200 who started in the last 12 months."""
    text = "margin: 1\nfee_share: 0\nfee_fixed: 0\ndiscount_rate: 0\n"
    (tmp_path / "company" / "company.yml").write_text(text)
    book = tenure.open_workbook(names(horizon=6))
    best = worth.of_keeping(book.losses, book.economics).best()
    assert best.value / 100 == pytest.approx(22_750 / 5)
    assert (best.case, best.words["starters"], best.unit) == ("dated", 200, "money:EUR")


def test_customers_whose_currency_has_no_rate_are_left_out_at_the_head_or_refused(names, capsys):
    asked = names(reporting_currency="")
    asked["In"][1] += "\nreporting_currency: str = None"
    spans = Path(asked["data"]) / "subscriptions.csv"
    whole = spans.read_text()

    def in_pounds(customers):
        lines = whole.splitlines()
        return "\n".join(
            line.replace("EUR", "GBP") if line.split(",")[1] in customers else line for line in lines
        )

    everybody = tenure.open_workbook(asked).active["customers"].sum()
    spans.write_text(in_pounds({str(i) for i in range(100, 130)}))
    capsys.readouterr()
    book = tenure.open_workbook(asked)
    assert book.currency == "EUR"
    assert book.active["customers"].sum() == everybody - 30
    assert "Left out: 15% of customers, who pay in GBP (no exchange rate)" in capsys.readouterr().out
    # A report that is not about money follows everybody, and says whose money it does not know.
    assert tenure.open_workbook(names()).active["customers"].sum() == everybody
    assert "Left out of money: 15% of customers, who pay in GBP" in capsys.readouterr().out
    spans.write_text(in_pounds({str(i) for i in range(100, 150)}))
    with pytest.raises(
        InputError, match=r"customers pay in EUR \(75%\), GBP \(25%\), and .* with 1 for EUR itself"
    ):
        tenure.open_workbook(asked)


def test_a_company_counts_by_its_own_rules(names):
    asked = names(policy="tenure")
    asked["In"][1] += "\npolicy: str = None"
    (Path(asked["data"]) / "company.yml").write_text("rules: {gap_days: {year: 21}, hold_days: 120}")
    assert tenure.open_workbook(asked).scope["policy"] == MetricPolicy(gap_days=Gaps(1, 21), hold_days=120)
    asked["policy"] = "stripe_like"
    assert tenure.open_workbook(asked).scope["policy"] == named("stripe_like")
