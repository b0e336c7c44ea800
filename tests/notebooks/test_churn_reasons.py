"""The workbook on reasons for leaving: the demo company's truth, its opposite, and data that cannot answer."""

from __future__ import annotations

import shutil

import duckdb
import pandas as pd
import pytest

from notebooks.companies import company, words
from notebooks.running import findings

NAME = "32_churn_reasons.ipynb"


@pytest.fixture(scope="module")
def ran(run, demo):
    return run(NAME)


def test_the_price_is_named_most_and_made_nobody_leave(ran, of_demo, truth):
    said, price = of_demo["churn_reasons.stated"], of_demo["churn_reasons.price"]
    assert "“too expensive”" in said["sentence"]
    assert price["low"] < truth["price_increase"]["hazard_ratio"] < price["high"]
    assert price["sentence"].endswith("stated, not found in what they did.")
    table = pd.read_csv(ran.exports / "churn_stated_reasons.csv").set_index("reason")
    for reason, share in truth["exit_survey"]["everybody"].items():
        # Who names the price answers more often: the answers alone mislead, and the bounds hold the truth.
        assert table.loc[reason, "least"] < share < table.loc[reason, "most"], reason
    assert table.loc["too expensive", "share_low"] > truth["exit_survey"]["everybody"]["too expensive"]


def test_the_planted_cause_lasts_and_fading_use_is_a_warning(ran, of_demo, truth):
    lasting, fading = (of_demo[f"churn_reasons.{name}_sign"] for name in ("lasting", "fading"))
    assert "an unresolved support request" in lasting["sentence"]
    assert lasting["low"] < truth["unresolved_tickets"]["hazard"] < lasting["high"]
    assert "a month without use" in fading["sentence"]
    table = pd.read_csv(ran.exports / "churn_signs.csv")
    assert set(table.loc[table["verdict"] == "lasting", "sign"]) == {"an unresolved support request"}
    crude = table.set_index(["sign", "lag"]).loc[("a support request", 1)]
    assert crude["crude"] > crude["hazard_ratio"]


def test_failed_charges_are_counted_once(of_demo, truth):
    law, found = truth["failed_payments"], of_demo["churn_reasons.recovered"]
    recovered, given_up = (sum(law[end]["episodes"]) for end in ("recovered", "given_up"))
    assert found["n"] == pytest.approx(recovered + given_up, rel=0.01)
    assert found["low"] < recovered / (recovered + given_up) < found["high"]
    assert of_demo["churn_reasons.lost_to_failure"]["value"] > 0


def test_findings_have_intervals_and_the_advice_says_what_would_change_it(of_demo):
    for id in (
        "response",
        "stated",
        "voluntary",
        "involuntary",
        "lost_to_failure",
        "retry_day",
        "first_lever",
    ):
        record = of_demo[f"churn_reasons.{id}"]
        assert record["low"] < record["value"] < record["high"], id
    # The price is the commonest reason, and worth most; it was not found in what they did.
    assert "“payment failed”" in of_demo["churn_reasons.first_lever"]["sentence"]
    assert "keeps fewer than one in ten" in of_demo["churn_reasons.first_lever"]["unless"]


@pytest.fixture
def copied(demo, tmp_path):
    """The demo company in a folder of its own, with a function to rewrite its tables."""
    for file in demo.iterdir():
        if file.suffix in (".parquet", ".yml") and file.name != "visits.parquet":
            shutil.copy(file, tmp_path / file.name)

    def rewrite(table: str, query: str) -> None:
        place = tmp_path / f"{table}.parquet"
        duckdb.sql(f"copy ({query.format(place)}) to '{place}.new' (format parquet)")
        (tmp_path / f"{table}.parquet.new").replace(place)

    return tmp_path, rewrite


def test_where_the_price_makes_customers_leave_the_same_page_says_so(run, copied):
    folder, rewrite = copied
    # One in eight of the spans that begin at the new price never does: the customer leaves at that renewal.
    hit = (
        "select customer_id, min(started_at) as cut from '{0}' where started_at >= '2025-03-01' and "
        "started_at < '2025-04-01' and status = 'active' and hash(customer_id) % 8 = 0 group by 1 having "
        "min(customer_id) in (select customer_id from '{0}' where started_at < '2025-03-01')"
    )
    rewrite(
        "subscriptions",
        f"with hit as ({hit}) select s.* replace (case when cut is not null and (ended_at is null or ended_at > cut "
        "or ended_at = cut) then cut else ended_at end as ended_at, case when cut is not null and (ended_at is null "
        "or ended_at >= cut) then 'voluntary' else end_reason end as end_reason) from '{0}' s left join hit "
        "using (customer_id) where cut is null or started_at < cut",
    )
    found = findings(run(NAME, data=str(folder)))
    assert found["churn_reasons.price"]["low"] > 1
    assert "they did what they say" in found["churn_reasons.price"]["sentence"]
    assert "“too expensive”" in found["churn_reasons.first_lever"]["sentence"]


def test_where_requests_are_anybodys_none_is_to_blame_and_another_reason_leads(run, copied):
    folder, rewrite = copied
    # Each request becomes another customer's, so that requests are not associated with leaving.
    other = "lead(customer_id, 500) over (order by hash(ticket_id)) as customer_id"
    rewrite(
        "tickets", f"select * from (select * replace ({other}) from '{{}}') where customer_id is not null"
    )
    rewrite(
        "surveys",
        "select * replace (case when answer = 'too expensive' and hash(customer_id) % 4 > 0 then 'switched' "
        "else answer end as answer) from '{}'",
    )
    outcome = run(NAME, data=str(folder))
    found, signs = findings(outcome), pd.read_csv(outcome.exports / "churn_signs.csv")
    # No request is said to make customers leave.
    about = signs[signs["sign"].str.contains("support request")]
    assert len(about) == 8
    assert not ((about["verdict"] == "lasting") & (about["hazard_ratio"] > 1)).any()
    assert (found["churn_reasons.lasting_sign"]["low"] or 0) < 1
    assert "“switched”" in found["churn_reasons.stated"]["sentence"]
    assert "The price is not the commonest reason" in found["churn_reasons.price"]["sentence"]


PAID = [
    {"payment_id": f"p{n}", "customer_id": f"c{n}", "subscription_id": f"s{n}", "attempted_at": "2022-06-15",
     "amount_minor": 500, "currency": "EUR", "kind": "recurring", "status": "paid"}
    for n in range(60)
]  # fmt: skip


def plain(folder, answers=(), payments=(), **columns):
    data = company(folder, 300, lambda n: 40 + n % 300 if n % 2 else None, payments)
    if answers:
        ends = pd.read_csv(folder / "subscriptions.csv").set_index("customer_id")["ended_at"]
        who = [f"c{2 * k + 1}" for k in range(len(answers))]
        rows = [
            {"customer_id": one, "survey": "exit", "question": "why", "sent_at": ends[one],
             "answered_at": ends[one], "answer": answer, "score": None}
            for one, answer in zip(who, answers, strict=True)
        ]  # fmt: skip
        pd.DataFrame(rows).assign(**columns).to_csv(folder / "surveys.csv", index=False)
    return {"data": data, "months_back": 60}


@pytest.mark.parametrize(
    ("answers", "payments", "columns", "sentence"),
    [
        ((), (), {}, "needs the table surveys"),
        ((), (), {}, "needs the table payments"),
        ((), PAID, {}, "This extract has no failed attempts to charge: recovery cannot be judged"),
        (["dear"] * 20, (), {}, "Only 20 answers: shares of reasons take 30 or more"),
        (
            [f"because {k}" for k in range(60)],
            (),
            {},
            "There are 60 different answers to 60 answers: name in",
        ),
        (["x"] * 40, (), {"answer": None, "score": 4.0}, "a score is no reason"),
        (["x"] * 40, (), {"survey": "nps", "score": 4.0}, "There is no exit survey"),
    ],
    ids=[
        "no surveys",
        "no payments",
        "nothing failed",
        "few answers",
        "free text",
        "scores",
        "no exit survey",
    ],
)
def test_what_cannot_be_answered_ends_in_a_sentence(run, tmp_path, answers, payments, columns, sentence):
    outcome = run(NAME, **plain(tmp_path, answers, payments, **columns))
    assert outcome.state == "ok", outcome.reason
    assert sentence in words(outcome).replace("\n", " ")


def test_free_text_can_be_mapped_and_what_is_not_is_counted(run, tmp_path):
    answers = [f"because {k}" for k in range(60)]
    means = {answer: "price" if k % 2 else "product" for k, answer in enumerate(answers[:50])}
    outcome = run(NAME, **plain(tmp_path, answers), reasons=means, price_reasons=["price"])
    found = findings(outcome)
    assert found["churn_reasons.stated"]["value"] == pytest.approx(25 / 60)
    assert "In none of `reasons`: 10 answers of 60" in words(outcome).replace("<code>", "`").replace(
        "</code>", "`"
    )


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"lags": [0]}, "lags"),
        ({"question": "how"}, "does not ask `question` 'how'"),
        ({"within_days": 40}, "within_days"),
        ({"month_back": 3}, "did you mean `months_back`"),
    ],
)
def test_wrong_parameters_are_refused(run, demo, parameters, sentence):
    outcome = run(NAME, **parameters)
    assert outcome.state == "failed"
    assert sentence in outcome.reason
