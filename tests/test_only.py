"""Some customers only: the same as if the others had never been in the data, or refused in one sentence."""

from __future__ import annotations

import shutil
from functools import partial

import pandas as pd
import pytest

import tenure
from tenure.errors import InputError, NotApplicable
from tenure.measures import acquisition, engagement, feedback, revenue, subscriptions
from tenure.measures import experiments as trials
from tenure.models import payback
from tenure.stats import logrank, survival
from tenure_demo import write_demo

DAY = "2026-10-31"
SNAPSHOT = """
snapshot:
  as_of: 2026-01-01
  tenure: {from: months, unit: month}
  churned: {from: left, values: {"Yes": true, "No": false}}
  columns: {customer_id: id, country: country}
  constants: {plan: A, unit_amount_minor: 999, currency: EUR, billing_interval: month, status: active}
"""


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    folder = tmp_path_factory.mktemp("company") / "all"
    write_demo(folder, customers=600)
    return folder


@pytest.fixture
def opened(company):
    """Open the company, or another folder, with parameters."""

    def make(folder=company, needs=("customers", "subscriptions"), **changed):
        names = {
            "data": str(folder),
            "mapping": "",
            "company": "",
            "as_of": DAY,
            "unit": "",
            "only": "",
            "by": "",
        }
        names |= {"policy": "tenure", "currency": "", "reporting_currency": "", **changed}
        cell = "\n".join(f"{name}: str = ''" for name in names)
        return tenure.open_workbook({"In": ["", cell], **names}, needs=needs)

    return make


def table(company, name):
    return pd.read_parquet(company / f"{name}.parquet")


def began_with(company):
    """The plan of each customer's first paid span; test accounts never pay."""
    spans, people = table(company, "subscriptions"), table(company, "customers")
    spans = spans[(spans["status"] != "trialing") & (spans["unit_amount_minor"] > 0)]
    spans = spans[~spans["customer_id"].isin(people.loc[people["is_test"], "customer_id"])]
    return spans.sort_values("started_at").groupby("customer_id")["plan"].first()


def without_the_others(company, folder, ids):
    """The data as it were if there had never been any others, nor what is known of the company alone."""
    folder.mkdir()
    for file in [*company.glob("*.parquet"), *company.glob("events/*.parquet")]:
        rows = pd.read_parquet(file)
        key = "referrer_id" if file.stem == "referrals" else "customer_id"
        rows = rows[rows[key].isin(ids)] if key in rows else rows
        place = folder / file.relative_to(company)
        place.parent.mkdir(exist_ok=True)
        if file.stem not in ("spend", "targets"):
            rows.to_parquet(place, coerce_timestamps="us", index=False)
    shutil.copy(company / "company.yml", folder)
    return folder


QUESTIONS = {
    "movements": revenue.mrr_movements,
    "retention": partial(revenue.retention_moments, months=[2026 * 12 + 9]),
    "life": partial(subscriptions.life_table, by="plan"),
    "left out": subscriptions.exclusions,
    "churned": subscriptions.churned_value,
    "trials": acquisition.trials,
    "use": partial(engagement.return_days, events=["play"]),
    "answers": feedback.nps_counts,
    "characteristics": subscriptions.characteristics,
}


def same(some, alone, names=QUESTIONS):
    for name in names:
        ours, theirs = (
            tenure.collect(book._measured(QUESTIONS[name], None, (), {})) for book in (some, alone)
        )
        pd.testing.assert_frame_equal(ours, theirs, obj=name, check_exact=False, rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        pytest.param(
            "birth_year between 1980 and 1994 and not (channel = 'organic' or country in ('DE', 'FR'))",
            lambda people: (
                people["birth_year"].between(1980, 1994)
                & ~((people["channel"] == "organic") | people["country"].isin(["DE", "FR"]))
            ),
            marks=pytest.mark.long,
        ),
        (
            "gender is null or birth_year < 1970 or household not like 'f%'",
            lambda people: (
                people["gender"].isna()
                | (people["birth_year"] < 1970)
                | ~people["household"].fillna("f").str.startswith("f")
            ),
        ),
        pytest.param("plan = 'Annual'", lambda people: people["began"] == "Annual", marks=pytest.mark.long),
        (
            "segment != 'Families' and plan not in ('Annual', 'Basic')",
            lambda people: (
                people["segment"].notna()
                & (people["segment"] != "Families")
                & people["began"].notna()
                & ~people["began"].isin(["Annual", "Basic"])
            ),
        ),
    ],
)
def test_some_customers_are_as_if_there_were_no_others(company, tmp_path, opened, text, chosen):
    segments = table(company, "segments").sort_values("as_of").groupby("customer_id")["segment"].last()
    people = table(company, "customers")
    people["began"] = people["customer_id"].map(began_with(company))
    people["segment"] = people["customer_id"].map(segments)
    ids = people.loc[chosen(people), "customer_id"]
    assert 0 < len(ids) < len(people)
    some, alone = opened(only=text), opened(without_the_others(company, tmp_path / "some", ids))
    same(some, alone)
    assert some.economics == alone.economics
    assert some.source.last_day() == opened().source.last_day()


def test_the_plan_of_today_would_choose_those_who_stayed(company, opened):
    began = began_with(company)
    spans = table(company, "subscriptions").sort_values("started_at")
    assert (spans.groupby("customer_id")["plan"].last().reindex(began.index) != began).any()
    life = opened(only="plan = 'Annual'").ask(subscriptions.life_table)
    group = opened().ask(subscriptions.life_table, by="plan").query("group == 'Annual'")
    columns = [name for name in life if name != "group"]
    pd.testing.assert_frame_equal(life[columns], group[columns].reset_index(drop=True))


def test_two_groups_are_compared_as_if_there_were_no_others(company, tmp_path, opened):
    people = table(company, "customers")
    ids = people.loc[people["country"].isin(["IT", "FR"]), "customer_id"]
    alone = opened(without_the_others(company, tmp_path / "two", ids), by="country")
    some = opened(by="country", only="country in ('IT', 'FR')")
    lives = [book.ask(subscriptions.life_table, by="country") for book in (some, alone, opened())]
    tests = [logrank.log_rank(life) for life in lives]
    wide = [survival.kaplan_meier(life).widest_difference(12) for life in lives]
    assert set(lives[0]["group"]) == {"IT", "FR"}
    assert tests[0].table.frame.equals(tests[1].table.frame)
    assert (tests[0].p, wide[0]) == (tests[1].p, wide[1])
    assert tests[0].p != tests[2].p


@pytest.mark.long
def test_accounts_and_subscriptions_are_chosen_by_who_pays(company, tmp_path, opened):
    people, spans = (table(company, name) for name in ("customers", "subscriptions"))
    parent = spans["customer_id"].iloc[0]
    people["parent_id"] = people["customer_id"].where(people["country"] != "IT", parent)
    people.loc[people["customer_id"] == parent, "country"] = "IT"
    people.loc[people["parent_id"] == parent, "country"] = people["country"].where(
        people.index % 2 == 0, "FR"
    )
    folder = tmp_path / "households"
    shutil.copytree(company, folder)
    (folder / "company.yml").write_text("smallest_group: 1\n")
    people.to_parquet(folder / "customers.parquet", coerce_timestamps="us", index=False)
    head = people.loc[people["customer_id"] == parent, "country"].iloc[0]
    whole = opened(folder, unit="account", only=f"country = '{head}'").ask(revenue.customers_by_month)
    own = people.loc[
        (people["country"] == head) & (people["parent_id"] == people["customer_id"]), "customer_id"
    ]
    members = people.loc[people["parent_id"].isin(own) | people["customer_id"].isin(own), "customer_id"]
    alone = opened(without_the_others(folder, tmp_path / "accounts", members), unit="account")
    pd.testing.assert_frame_equal(whole, alone.ask(revenue.customers_by_month))
    ids = people.loc[people["country"] == "FR", "customer_id"]
    apart = opened(without_the_others(folder, tmp_path / "apart", ids), unit="subscription")
    text = "country = 'FR' and segment is not null or country = 'FR' and segment is null"
    some = opened(folder, unit="subscription", only=text)
    same(some, apart, ["movements", "life"])
    one = spans["customer_id"].iloc[0]
    held = opened(folder, unit="subscription", only=f"customer_id = '{one}'").source["customers"]
    assert set(held.customer_id.execute()) == set(spans.loc[spans["customer_id"] == one, "subscription_id"])


def test_units_of_an_experiment_are_chosen_by_what_was_known_before(company, opened, capsys):
    seen, put = table(company, "visits"), table(company, "assignments")
    needs = ["assignments"]
    some = opened(needs=needs, only="channel = 'search'")
    ids = seen.loc[seen["channel"] == "search", "visitor_id"]
    assert (
        f"Only {len(ids):,} visitors of {len(seen):,}: those with channel = 'search'."
        in capsys.readouterr().out
    )
    ours = put[put["unit_id"].isin(ids)].groupby("experiment").size().to_dict()
    assert some.ask(trials.experiments).set_index("experiment")["units"].to_dict() == ours
    for text in ("plan = 'Annual'", "country = 'IT'"):
        with pytest.raises(InputError, match="only what is known of all its units can be named"):
            opened(needs=needs, only=text)
    with pytest.raises(NotApplicable, match=r"Of [\d,]+ visitors, none has channel = 'tvv'"):
        opened(needs=needs, only="channel = 'tvv'")


def test_what_is_known_of_the_whole_company_is_not_compared(company, opened, capsys):
    book = opened(only="country = 'IT'")
    assert not {"spend", "targets"} & set(book.source)
    assert "Not compared: spend and targets, which are those of all" in capsys.readouterr().out
    spend = table(company, "spend")
    paid = opened(only="channel in ('search', 'social')").ask(acquisition.spend, lag_days=0)
    assert paid["amount_minor"].sum() == spend.query("channel in ['search', 'social']")["amount_minor"].sum()
    won = book.ask(acquisition.customers_won)
    cost = payback.cost_per_customer(None, won, book.month, currency="EUR", factors={"EUR": 1.0})
    assert not cost["acquisition.cac"].known


def test_the_head_says_who_it_is_about(company, opened, capsys):
    people = table(company, "customers")
    book = opened(only=" country = 'IT' ")
    said = capsys.readouterr().out
    assert (
        f"Only {sum(people['country'] == 'IT')} customers of {len(people):,}: those with country = 'IT'."
        in said
    )
    assert "Data checked: that of all" in said
    assert book.only == "country = 'IT'"
    opened(only="plan = 'Annual'")
    assert "The plan is the one that a lifetime began with." in capsys.readouterr().out
    opened()
    assert "Only" not in capsys.readouterr().out


def test_published_segments_are_those_of_everybody(company, opened, monkeypatch, tmp_path):
    people = table(company, "customers")["customer_id"]
    rows = pd.DataFrame(
        {"customer_id": people, "scheme": "rfm", "segment": "loyal", "as_of": pd.Timestamp(DAY).date()}
    )
    rows.loc[::3, "segment"] = "new"
    published = tmp_path / "reports" / "latest" / "exports" / "segmentation"
    published.mkdir(parents=True)
    rows.to_parquet(published / "segments.parquet", index=False)
    monkeypatch.setenv("TENURE_ROOT", str(tmp_path))
    book, scheme = opened(only="segment = 'new'").with_segments()
    assert scheme == "rfm, as published"
    assert set(book.source["customers"].customer_id.execute()) == set(people[::3])
    assert set(tenure.collect(book.source["segments"])["segment"]) == {"new"}


def test_nobody_is_not_applicable(company, opened):
    with pytest.raises(NotApplicable, match=r"^Of 600 customers, none has country = 'XX': there is nobody"):
        opened(only="country = 'XX'")
    used = pd.concat(map(pd.read_parquet, company.glob("events/*.parquet")))["customer_id"]
    idle = sorted(set(table(company, "customers")["customer_id"]) - set(used))[:5]
    whom = f"customer_id in ({', '.join(map(repr, idle))})"
    assert "events" not in opened(only=whom, needs=["customers"]).source
    with pytest.raises(
        NotApplicable, match=r"^Of 5 customers with customer_id in .*, none is in the table events"
    ):
        opened(only=whom, needs=["customers", "events"])
    with pytest.raises(NotApplicable, match=r"fewer than 5 have customer_id = .*: too few to speak of"):
        opened(only=f"customer_id = '{idle[0]}'", needs=["customers"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("contry = 'IT'", "There is no column `contry`; did you mean `country`?"),
        ("country = IT", "There is no column `IT`. Fix: use one of"),
        ('country = "IT"', "Text stands in single quotes"),
        ("country = 5", "compares country with 5, but country is text, such as '"),
        ("country in ('IT', 5)", "compares country with 5"),
        ("country = null", "Fix: write `is null` for what is missing."),
        ("birth_year = '1984'", "but birth_year is a number, such as "),
        ("birth_year = null", "Fix: write `is null`"),
        ("birth_year < 1e400", "compares birth_year with 1e400"),
        ("is_test = 'yes'", "but is_test is true or false"),
        ("created_at > 'soon'", "but created_at is a day, such as '202"),
        ("country = birth_year", "compares country with birth_year"),
        ("plan = 3", "but plan is text, such as '"),
        ("country like birth_year", "compares country with birth_year"),
        (
            "birth_year like '19%'",
            "has birth_year LIKE '19%' in it, which compares no column with a value of its",
        ),
        ("country is true", "has country IS TRUE in it"),
        ("country", "has country in it"),
        ("1 = 1", "has 1 = 1 in it"),
        ("country = (channel = 'x')", "compares country with (channel = 'x')"),
        ("country = 'IT'; drop table customers", "which cannot be read as a condition"),
        ("country = ", "which cannot be read as a condition"),
        ("it's", "which cannot be read as a condition"),
        ("select 1", "in it, which is no column, value or comparison"),
        ("upper(country) = 'IT'", "has UPPER(country) in it"),
        ("country in (select country from customers)", "in it, which is no column, value or comparison"),
        ("read_csv('/etc/passwd') = 'x'", "in it, which is no column, value or comparison"),
        ("customers.country = 'IT'", "has customers.country in it"),
        ("country = 'IT' x", "in it, which is no column, value or comparison"),
        ("country || 'x' = 'IT'", "in it, which is no column, value or comparison"),
        ("country = $1", "in it, which is no column, value or comparison"),
    ],
)
def test_what_is_no_condition_on_customers_is_refused_in_one_sentence(opened, text, words):
    with pytest.raises(InputError) as caught:
        opened(only=text)
    assert words in str(caught.value)
    assert str(caught.value).startswith("The parameter `only`")
    assert "\n" not in str(caught.value)


def test_a_column_that_the_data_lacks_is_none(tmp_path, opened):
    (tmp_path / "customers.csv").write_text("customer_id,created_at,town\na,2026-01-01,Rome\n")
    (tmp_path / "subscriptions.csv").write_text(
        "subscription_id,customer_id,plan,billing_interval,unit_amount_minor,currency,status,started_at,ended_at\n"
        "s,a,P,month,999,EUR,active,2026-01-01,\n"
    )
    with pytest.raises(
        InputError, match=r"There is no column `country`\. Fix: use one of created_at, customer_id, is_test, "
    ):
        opened(tmp_path, only="country = 'IT'", as_of="")
    with pytest.raises(NotApplicable, match="none are published, and there is no table `segments`"):
        opened(tmp_path, only="segment = 'x'", as_of="")
    assert opened(tmp_path, only="town = 'Rome'", as_of="").only == "town = 'Rome'"


def test_a_snapshot_knows_no_days(tmp_path, opened):
    """Its columns can be named, but not when customers signed up, which is made of a duration."""
    (tmp_path / "snapshot.csv").write_text(
        "id,months,left,country\n" + "".join(f"{n},{n % 20 + 1},{'Yes' if n % 3 else 'No'},{'IT' if n % 2 else 'FR'}\n"
                                               for n in range(200))
    )  # fmt: skip
    (tmp_path / "snapshot.yml").write_text(SNAPSHOT)
    mapped = {"folder": tmp_path / "snapshot.csv", "mapping": str(tmp_path / "snapshot.yml"), "as_of": ""}
    book = opened(**mapped, only="country = 'IT'")
    assert book.ask(subscriptions.duration_counts, [])["n"].sum() == 100
    assert book.source.last_day() == opened(**mapped).source.last_day()
    with pytest.raises(InputError, match="this data knows durations, and no dates"):
        opened(**mapped, only="created_at > '2020-01-01'")
