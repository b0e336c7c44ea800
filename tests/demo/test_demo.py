"""The simulated company keeps the contract, is the same for the same seed, and tells the truth."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from demo.first_lives import END, TABLES, kaplan_meier, largest_deviation
from tenure import contract
from tenure.economics import read_economics
from tenure.errors import InputError
from tenure_demo import answers, lives, write, write_demo
from tenure_demo import company as laws

ARROW = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "date": pa.date32(),
}


def _digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_tables_keep_the_contract(company, database, table):
    folder, _ = company
    paths = sorted(Path(folder).glob(f"{table.name}/*.parquet")) or [folder / f"{table.name}.parquet"]
    for path in paths:
        schema = pq.read_schema(path)
        names = [name for name in schema.names if name in table.column_names]
        assert names == [name for name in table.column_names if name in names]
        assert {column.name for column in table.columns if column.required} <= set(names)
        assert table.attributes or len(names) == len(schema.names)
        written = [column for column in table.columns if column.name in names]
        for column in written:
            assert schema.field(column.name).type == ARROW[column.type], column.name
    assert database.execute(f"select count(*) from {table.name}").fetchone()[0] > 0
    for column in written:
        name, query = column.name, f"select count(*) from {table.name} where "
        if not column.nullable:
            assert database.execute(f"{query} {name} is null").fetchone() == (0,), name
        if column.enum:
            allowed = ", ".join(f"'{value}'" for value in column.enum)
            assert database.execute(f"{query} {name} not in ({allowed})").fetchone() == (0,), name
            used = {
                row[0] for row in database.execute(f"select distinct {name} from {table.name}").fetchall()
            }
            # No subscription of the demo company ends by design.
            if column.name not in ("billing_interval",):
                assert used >= set(column.enum) - {"expired"}, f"{name} never shows some of its values"
        if column.minimum is not None:
            assert database.execute(f"{query} {name} < {column.minimum}").fetchone() == (0,), name
        if column.type == "timestamp":
            assert database.execute(f"{query} {name} >= timestamp '{END}'").fetchone() == (0,), name
    if table.key:
        key = ", ".join(table.key)
        doubles = f"select count(*) from (select {key} from {table.name} group by all having count(*) > 1)"
        assert database.execute(doubles).fetchone() == (0,)
    for column, other in table.references:
        if column not in names:
            continue
        target = contract.BY_NAME[other].key[0]
        orphans = f"select count(*) from {table.name} t anti join {other} o on t.{column} = o.{target}"
        assert database.execute(orphans).fetchone() == (0,)


def test_optional_references_point_at_something(database):
    for table, column, other, key in (
        ("payments", "subscription_id", "subscriptions", "subscription_id"),
        ("visits", "customer_id", "customers", "customer_id"),
        ("assignments", "customer_id", "customers", "customer_id"),
        ("assignments", "unit_id", "visits", "visitor_id"),
        ("referrals", "referred_id", "customers", "customer_id"),
        ("events", "content_id", "contents", "content_id"),
    ):
        orphans = (
            f"select count(*) from {table} t anti join {other} o on t.{column} = o.{key} "
            f"where t.{column} is not null"
        )
        assert database.execute(orphans).fetchone() == (0,), (table, column)


def test_spans_of_a_subscription_follow_one_another(database):
    wrong = database.execute(
        """
        select count(*) filter (where ended_at <= started_at),
               count(*) filter (where following < ended_at or (following is not null and ended_at is null)),
               count(*) filter (where end_reason = 'switched' and following is distinct from ended_at),
               count(*) filter (where following is not null and end_reason <> 'switched'),
               count(*) filter (where (ended_at is null) <> (end_reason is null)),
               count(*) filter (where cancel_requested_at < started_at or cancel_requested_at > ended_at),
               count(*) filter (where discount_minor > unit_amount_minor * quantity)
        from (select *, lead(started_at) over (partition by subscription_id order by started_at) as following
              from subscriptions)
        """
    ).fetchone()
    assert wrong == (0,) * 7


def test_everything_awkward_happens(database):
    spans = "select count(*) from subscriptions where "
    for what, query in {
        "trial that converts": spans + "status = 'trialing' and end_reason = 'switched'",
        "trial that does not": spans + "status = 'trialing' and end_reason = 'voluntary'",
        "trial under way": spans + "status = 'trialing' and ended_at is null",
        "coupon": spans + "discount_minor > 0",
        "payment late, undecided": spans + "status = 'past_due' and ended_at is null",
        "pause beyond 90 days": spans + "status = 'paused' and ended_at - started_at > interval 90 day",
        "several at once": "select count(*) from subscriptions a join subscriptions b using (customer_id) "
        "where a.subscription_id < b.subscription_id "
        "and a.started_at < b.ended_at and b.started_at < a.ended_at",
        "notice given, still on": spans + "cancel_requested_at is not null and ended_at is null",
        "back within a day": spans + "subscription_id like '%-3'",
        "back after weeks": spans + "subscription_id like '%-4'",
        "quarterly": spans + "billing_interval_count = 3",
        "to annual": "select count(*) from subscriptions a join subscriptions b "
        "on a.subscription_id = b.subscription_id and a.ended_at = b.started_at "
        "where a.plan <> 'Annual' and b.plan = 'Annual'",
        "dollars": spans + "currency = 'USD'",
        "two seats": spans + "quantity = 2",
        "free": spans + "unit_amount_minor = 0",
        "test": "select count(*) from customers where is_test",
        "unanswered": "select count(*) from surveys where answered_at is null",
        "open ticket": "select count(*) from tickets where closed_at is null",
        "visitor who left": "select count(*) from visits where customer_id is null",
    }.items():
        assert database.execute(query).fetchone()[0] > 0, what


def test_the_exit_survey_hears_some_reasons_more_often_than_others(company, database):
    law = company[1]["exit_survey"]
    rows = database.execute(
        "select answer, count(*) from surveys where survey = 'exit' and answer is not null group by 1"
    ).fetchall()
    weights = {answer: n / law["answers"][answer] for answer, n in rows}
    for answer, n in rows:
        share, everybody = weights[answer] / sum(weights.values()), law["everybody"][answer]
        assert share == pytest.approx(everybody, abs=5 * everybody / n**0.5), answer
    assert max(rows, key=lambda row: row[1])[0] == "too expensive"


def test_failed_payments_have_the_reasons_of_their_ends(company, database):
    law = company[1]["failed_payments"]
    failed = dict(
        database.execute(
            "select failure_reason, count(*) from payments where status = 'failed' group by 1"
        ).fetchall()
    )
    tries = {
        end: sum(k * n for k, n in enumerate(law[end]["episodes"], 1)) for end in ("recovered", "given_up")
    }
    assert sum(failed.values()) == sum(tries.values())
    for reason, n in failed.items():
        expected = sum(tries[end] * law[end]["reasons"][reason] for end in tries)
        assert n == pytest.approx(expected, rel=0.1), reason
    assert not database.execute(
        "select count(*) from payments where status <> 'failed' and failure_reason is not null"
    ).fetchone()[0]


def test_an_unresolved_ticket_raises_the_hazard():
    compared = np.zeros(2)
    for number in range(4):
        chunk = lives.Chunk(5, number, 20_000, laws.Window.of(36))
        people, _ = lives.make_people(chunk)
        lives.live_first(chunk, people)
        who = np.flatnonzero((people.plan < laws.QUARTERLY) & (people.life > 1) & people.paying)
        zero, never = np.zeros(len(who), dtype=np.int64), np.zeros(len(who), dtype=bool)
        never[answers._unresolved(chunk, people, who, zero, zero, zero == 0)] = True
        life, chose, plan = people.life[who], people.cause[who] == lives.VOLUNTARY, people.plan[who]
        for renewal in range(2, 12):
            for stratum in range(laws.QUARTERLY):
                there = (life >= renewal) & (plan == stratum)
                leaves = there & (life == renewal) & chose
                sizes = (there & never).sum(), (there & ~never).sum()
                compared += (
                    (leaves & never).sum() * sizes[1] / sum(sizes),
                    (leaves & ~never).sum() * sizes[0] / sum(sizes),
                )
    assert compared[0] / compared[1] == pytest.approx(laws.UNRESOLVED["hazard"], rel=0.06)


def test_points_never_fall_below_zero(database):
    lowest = database.execute(
        """
        select min(balance) from (
            select sum(case when kind in ('redeem', 'expire') then -points else points end)
                   over (partition by customer_id order by occurred_at, kind) balance
            from points)
        """
    ).fetchone()[0]
    assert lowest >= 0


def test_events_lie_within_service_and_after_publication(database):
    outside = database.execute(
        """
        select count(*) from events e where not exists (
            select 1 from subscriptions s where s.customer_id = e.customer_id and s.status <> 'paused'
            and e.occurred_at >= s.started_at - interval 1 day
            and (s.ended_at is null or e.occurred_at < s.ended_at))
        """
    ).fetchone()[0]
    assert outside == 0
    early = "select count(*) from events join contents using (content_id) where occurred_at < published_at"
    assert database.execute(early).fetchone() == (0,)


def test_use_fades_before_people_leave(database, spells):
    database.register(
        "spell_frame", spells.reset_index()[["customer_id", "stop", "open", "months", "reason"]]
    )
    counts = database.execute(
        """
        select count(*) filter (where occurred_at >= stop - interval 30 day) as final_month,
               count(*) filter (where occurred_at < stop - interval 90 day
                                and occurred_at >= stop - interval 120 day) as usual
        from events join spell_frame using (customer_id)
        where not open and months >= 6 and reason = 'voluntary' and occurred_at < stop
        """
    ).fetchone()
    assert counts[0] < 0.5 * counts[1]


def test_paid_charges_agree_with_the_spans(database):
    wrong = database.execute(
        """
        select count(*) from payments p where kind = 'recurring' and p.status = 'paid' and not exists (
            select 1 from subscriptions s where s.subscription_id = p.subscription_id
            and p.attempted_at >= s.started_at and (s.ended_at is null or p.attempted_at < s.ended_at)
            and s.unit_amount_minor * s.quantity - s.discount_minor = p.amount_minor)
        """
    ).fetchone()[0]
    total = database.execute(
        "select count(*) from payments where kind = 'recurring' and status = 'paid'"
    ).fetchone()[0]
    # A charge that was late is paid at the price of the span that failed, which a switch may have followed.
    assert wrong <= total * 0.001


def test_survival_is_the_truth_for_every_plan(company, spells):
    _, truth = company
    assert len(spells) == truth["company"]["paying"]
    assert int((~spells["open"]).sum()) == truth["company"]["left"]
    assert largest_deviation(spells, truth["survival"]["all"]) < 4
    for plan, mine in spells.groupby("plan"):
        assert largest_deviation(mine, truth["survival"][plan]) < 4, plan


@pytest.mark.parametrize("by", ["channel", "household"])
def test_survival_is_the_truth_for_channels_and_households(company, spells, by):
    _, truth = company
    for value, mine in spells.groupby(by):
        assert largest_deviation(mine, truth["survival"][f"by_{by}"][value]) < 4.5, value


def test_behavioral_groups_leave_as_planted(company, spells):
    _, truth = company
    for group, mine in spells.groupby("behavior"):
        assert largest_deviation(mine, truth["behavior"][group]["survival"]) < 4, group
    lowest, highest = truth["behavior"]["occasional"], truth["behavior"]["family"]
    assert highest["survival"][11] - lowest["survival"][11] > 0.2


def test_causes_are_the_truth(company, spells):
    _, truth = company
    for plan, mine in spells.groupby("plan"):
        curve = kaplan_meier(mine, 24)
        before = np.concatenate([[1.0], curve["survival"].to_numpy()[:-1]])
        for cause in ("voluntary", "involuntary", "unknown"):
            left = [
                ((mine["months"] == m) & ~mine["open"] & (mine["reason"] == cause)).sum()
                for m in curve["month"]
            ]
            found = float((before * np.array(left) / curve["at_risk"]).sum())
            expected = truth["cumulative_incidence"][plan][cause][len(curve) - 1]
            # Somewhat wider than binomial at the number that could be observed for so long.
            error = np.sqrt(expected * (1 - expected) / (len(mine) / 2))
            assert abs(found - expected) < 4 * error, (plan, cause)


def test_truth_is_consistent(company):
    folder, truth = company
    assert json.loads((folder / "truth.json").read_text()) == truth
    for plan in laws.BASE_PLANS:
        stays = np.array(truth["survival"][plan.name])
        causes = truth["cumulative_incidence"][plan.name]
        assert np.allclose(stays + sum(np.array(causes[cause]) for cause in causes), 1, atol=1e-5)
        assert truth["median_months"][plan.name] == int(np.flatnonzero(stays <= 0.5)[0]) + 1
        restricted = truth["restricted_mean_months"]["12"][plan.name]
        assert restricted == pytest.approx(1 + stays[:11].sum(), abs=1e-4)
    assert all("notes" in section for section in truth.values())


def test_the_price_experiment_is_as_planned(company, database, spells):
    _, truth = company
    for variant, expected in truth["price_experiment"]["variants"].items():
        shown, became = database.execute(
            "select count(*), count(customer_id) from assignments where variant = ?", [variant]
        ).fetchone()
        assert (shown, became) == (expected["visitors"], expected["subscribed"])
        chance = expected["conversion"]
        assert abs(became / shown - chance) < 4 * np.sqrt(chance * (1 - chance) / shown)
        paid = database.execute(
            "select list(distinct unit_amount_minor) "
            "from assignments join subscriptions s using (customer_id) "
            "where variant = ? and s.started_at = (select min(started_at) from subscriptions x "
            "where x.customer_id = s.customer_id)",
            [variant],
        ).fetchone()[0]
        assert paid == [expected["price_minor"]]
    plan = truth["price_experiment"]["24_months"]
    assert plan["best_price_minor"] < plan["best_price_minor_if_churn_is_ignored"]
    assert plan["value_per_visitor_at_best_price"] >= max(plan["value_per_visitor"].values())


def test_the_best_price_by_another_road(company):
    _, truth = company
    law = truth["price_experiment"]
    beta_geometric = truth["shifted_beta_geometric"]
    alpha, beta = beta_geometric["Standard"]["alpha"], beta_geometric["Standard"]["beta"]
    channels = truth["hazard_ratios"]["channel"]
    households = truth["hazard_ratios"]["household"]
    rng = np.random.default_rng(3)
    channel = rng.choice(list(channels.values()), 4000, p=laws.channel_given_standard())
    household = rng.choice(list(households.values()), 4000, p=laws.HOUSEHOLD_SHARE)
    expected = law["24_months"]["value_per_visitor"]
    for variant, price in ((name, entry["price_minor"] / 100) for name, entry in law["variants"].items()):
        value = 0.0
        for month in range(24):
            kept = np.prod([(beta + j) / (alpha + beta + j) for j in range(month)])
            kept *= (1 - beta_geometric["involuntary_monthly_hazard"]) ** month
            power = channel * household * np.exp(law["hazard"]["g"] * (price - 12.99))
            value += (kept**power).mean() / (1 + law["discount_rate_a_month"]) ** month
        chance = 1 / (1 + np.exp(-(law["conversion"]["a"] - law["conversion"]["b"] * price)))
        assert chance * (price - law["unit_cost_a_month"]) * value == pytest.approx(
            expected[variant], rel=0.02
        )


def test_the_retention_campaign_has_the_effect_written_down(company, database, spells):
    _, truth = company
    campaign = truth["retention_campaign"]
    contacts = database.execute(
        "select customer_id, arm from contacts where campaign = ?", [campaign["campaign"]]
    ).df()
    deadline = pd.Timestamp(campaign["date"]) + pd.Timedelta(days=campaign["days"], hours=8)
    joined = contacts.set_index("customer_id").join(spells)
    assert joined["stop"].notna().all()
    joined["stays"] = joined["stop"] > deadline
    for device, expected in campaign["segments"].items():
        mine = joined[joined["signup_device"] == device]
        for arm, name in (("treatment", "probability_if_treated"), ("control", "probability_if_held_out")):
            stays = mine.loc[mine["arm"] == arm, "stays"]
            error = np.sqrt(expected[name] * (1 - expected[name]) / len(stays))
            assert abs(stays.mean() - expected[name]) < 4 * error, (device, arm)
    assert campaign["segments"]["tv"]["uplift"] < 0 < campaign["segments"]["phone"]["uplift"]


def test_the_two_offers_have_the_effects_written_down(company, database, spells):
    _, truth = company
    campaign = truth["offers_campaign"]
    contacts = database.execute(
        "select customer_id, arm, offer, cost_minor, incentive_minor from contacts where campaign = ?",
        [campaign["campaign"]],
    ).df()
    deadline = pd.Timestamp(campaign["date"]) + pd.Timedelta(days=campaign["days"], hours=8)
    joined = contacts.set_index("customer_id").join(spells)
    assert joined["stop"].notna().all()
    held_out = joined["arm"] == "control"
    leaked = held_out & joined["offer"].notna()
    assert abs(leaked.sum() / held_out.sum() - 0.05) < 0.02
    assert joined.loc[leaked, ["offer", "incentive_minor"]].drop_duplicates().to_numpy().tolist() == [
        ["free month", 999]
    ]
    stays = joined["stop"] > deadline
    for name, expected in campaign["arms"].items():
        mine = leaked if "all the same" in name else held_out & ~leaked
        mine = mine if name.startswith("held out") else ~held_out & (joined["offer"] == name)
        p = expected["probability"]
        assert mine.sum() == expected["customers"]
        assert abs(stays[mine].mean() - p) < 4 * np.sqrt(p * (1 - p) / mine.sum()), name


def test_acquisition_costs_are_what_was_spent_for_whom(company, database, spells):
    _, truth = company
    spent = dict(database.execute("select channel, sum(amount_minor) from spend group by 1").fetchall())
    won = spells["channel"].value_counts()
    for channel, amount in spent.items():
        assert truth["acquisition"][channel]["cac_minor"] == pytest.approx(amount / won[channel], abs=0.01)


def test_net_promoter_scores_are_the_truth_of_those_who_answered(company, database):
    _, truth = company
    found = database.execute(
        "select 100.0 * (count(*) filter (where score >= 9) - count(*) filter (where score <= 6)) / count(*) "
        "from surveys where survey = 'nps' and answered_at is not null"
    ).fetchone()[0]
    assert found == pytest.approx(truth["nps"]["who_answered"], abs=1e-3)
    assert truth["nps"]["who_answered"] > truth["nps"]["everyone_asked"]


def test_anniversaries_agree_with_another_calendar():
    rng = np.random.default_rng(5)
    start = rng.integers(laws.seconds(pd.Timestamp("2019-01-01").date()), laws.END, 2000)
    months = rng.integers(0, 60, 2000)
    moments = pd.to_datetime(start, unit="s")
    expected = [at + pd.DateOffset(months=int(k)) for at, k in zip(moments, months, strict=True)]
    found = pd.to_datetime(laws.anniversary(start, months), unit="s")
    assert list(found) == expected
    counted = laws.months_started(start, laws.END)
    assert (laws.anniversary(start, counted) >= laws.END).all()
    assert (laws.anniversary(start, counted - 1) < laws.END).all()


def test_ids_are_unique_over_chunks():
    ids = lives.identifiers(7, np.arange(200_000))
    assert len(np.unique(ids)) == 200_000


@pytest.mark.long
def test_the_same_seed_gives_the_same_files_whatever_the_processes(tmp_path):
    for name, seed, jobs in (("one", 11, 1), ("two", 11, 2), ("other", 12, 1)):
        write_demo(tmp_path / name, customers=6_000, seed=seed, jobs=jobs)
    one, two, other = (_digest(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert one.keys() == other.keys()
    same = {name for name in one if one[name] == other[name]}
    assert same - {"annotations.parquet"} == {"company.yml"}, same


def test_a_failed_run_leaves_what_was_there(tmp_path, monkeypatch):
    folder = tmp_path / "demo"
    write_demo(folder, customers=50, seed=1)
    before = _digest(folder)

    def fail(*_):
        raise RuntimeError("disk full")

    monkeypatch.setattr(write, "make_truth", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        write_demo(folder, customers=60, seed=2)
    assert _digest(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_litter_of_a_killed_run_is_swept_away(tmp_path):
    over = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    dead = tmp_path / f".demo.{int(over.stdout)}.partial"
    living = tmp_path / f".demo.{os.getppid()}.partial"
    dead.mkdir()
    living.mkdir()
    write_demo(tmp_path / "demo", customers=20)
    assert not dead.exists()
    assert living.exists()


def test_one_customer_is_a_company_too(tmp_path):
    truth = write_demo(tmp_path / "demo", customers=1, months=12, seed=0)
    assert len(truth["survival"]["all"]) in (0, 12)
    assert {path.name.removesuffix(".parquet") for path in (tmp_path / "demo").iterdir()} >= {
        table.name for table in TABLES
    }


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"customers": 0}, "customers"),
        ({"months": 3}, "months"),
        ({"seed": -1}, "seed"),
        ({"jobs": 0}, "jobs"),
    ],
)
def test_parameters_out_of_range_are_refused(tmp_path, parameters, named):
    with pytest.raises(InputError, match=named):
        write_demo(tmp_path / "demo", **parameters)
    assert not (tmp_path / "demo").exists()


def test_other_peoples_files_are_not_overwritten(tmp_path):
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(InputError, match="not a demo company"):
        write_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_progress_counts_customers(tmp_path):
    seen: list[int] = []
    write_demo(tmp_path / "demo", customers=5_500, jobs=1, progress=seen.append)
    assert seen == [5_000, 5_500]


def test_what_people_wrote_into_company_yml_is_kept(tmp_path):
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "company.yml").write_text("margin: 0.9\n")
    for _ in range(2):
        write_demo(folder, customers=10, months=12)
        assert read_economics(data=str(folder)).margin == 0.9


def test_a_new_company_has_the_facts_that_reports_need(tmp_path):
    write_demo(tmp_path / "demo", customers=10, months=12)
    facts = read_economics(data=str(tmp_path / "demo"))
    assert facts.name == "Demo company"
    assert set(facts.given) >= {"margin", "fee_share", "fee_fixed", "discount_rate", "horizon_months"}


def test_the_law_of_leaving_soon_is_what_happens(company, spells):
    folder, truth = company
    risk = pd.read_parquet(folder / "_truth" / "risk.parquet")
    assert risk["as_of"].astype(str).unique().tolist() == truth["risk"]["days"]
    for day, rows in risk.groupby("as_of"):
        until = pd.Timestamp(day) + pd.DateOffset(days=1, months=truth["risk"]["months"])
        seen = rows.join(spells, on="customer_id")
        chose = seen["reason"].isin(["voluntary", "unknown"]) & (seen["stop"] < until)
        assert seen["stop"].notna().all()
        error = np.sqrt((rows["risk"] * (1 - rows["risk"])).sum())
        assert abs(chose.sum() - rows["risk"].sum()) < 3.5 * error
