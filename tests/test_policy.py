"""The policy that decides what a metric means."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace

import pytest

from tenure.errors import InputError
from tenure.policy import POLICIES, RULES, Gaps, MetricPolicy, named, steps


def test_the_defaults_are_those_of_the_definitions():
    policy = MetricPolicy()
    assert (policy.gap_days, policy.pause_days, policy.hold_days, policy.grace_days) == ((1, 14), 90, 90, 30)
    assert (policy.trials, policy.cancel, policy.pauses, policy.usage) == ("zero", "end", "zero", "alone")
    assert (policy.weeks_per_year, policy.days_per_year, policy.churn_base) == (52, 365, "start")


def test_a_digest_tells_policies_apart_and_stays_the_same():
    assert MetricPolicy().digest() == MetricPolicy().digest()
    assert len({policy().digest() for policy in POLICIES.values()}) == len(POLICIES)
    with pytest.raises(FrozenInstanceError):
        MetricPolicy().gap_days = 2  # type: ignore[misc]


def test_every_rule_has_words_and_every_field_a_rule():
    assert set(RULES) == {field.name for field in fields(MetricPolicy)} - {"version"}


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_steps_lead_from_one_policy_to_another_a_rule_at_a_time(name):
    end, now = named(name), MetricPolicy()
    for rule, policy in steps(MetricPolicy(), end):
        changed = [field for field in RULES if getattr(policy, field) != getattr(now, field)]
        assert [RULES[field] for field in changed] == [rule]
        now = policy
    assert replace(now, version=end.version) == end


def test_a_policy_that_is_not_there():
    with pytest.raises(InputError, match=r"no policy 'stripe'.*stripe_like"):
        named("stripe")


def test_a_company_replaces_rules_of_its_own_policy_and_of_no_other():
    own = {"gap_days": {"year": 30}, "hold_days": 120, "pause_days": None}
    policy = named("tenure", own)
    assert policy == MetricPolicy(gap_days=Gaps(1, 30), hold_days=120, pause_days=None)
    assert named("tenure", {"gap_days": 3}).gap_days == Gaps(3, 3)
    assert named("stripe_like", own) == named("stripe_like")
    wrong = [
        ({"gaps": 1}, r"rules.gaps: there is no such rule. Fix: the rules are trials, .*gap_days"),
        ({"hold_days": "long"}, "rules.hold_days.* is 'long'"),
        ({"discounts": "some"}, "rules.discounts is 'some'; it should be"),
        ({"gap_days": {"month": "x"}}, "rules.gap_days.*is .x."),
    ]
    for rules, said in wrong:
        with pytest.raises(InputError, match=said):
            named("tenure", rules)
