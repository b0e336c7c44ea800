"""The page *which business am I?*: with the settings that it names, the truth of each business comes out."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest
import yaml

import tenure
from businesses.making import UNTIL
from businesses.models import ALL
from tenure.economics import read_economics
from tenure.measures import revenue, subscriptions, units
from tenure.paths import project_root
from tenure.policy import named
from tenure.stats.survival import kaplan_meier

PAGE = (project_root() / "docs" / "which-business.md").read_text(encoding="utf-8")
LAST = pd.Timestamp(UNTIL).date() - pd.Timedelta(days=1)
# The heading of each company's section.
SECTIONS = {
    "club": "Club", "new_numbers": "Club", "publisher": "Publisher", "gifts": "Gifts", "meal_kit": "Meal kit",
    "gym": "Gym", "three_years": "Deals of several years", "usage": "Usage", "app": "App", "seats": "Seats",
}  # fmt: skip


def blocks(name, kind):
    """What the section says under a heading such as "company.yml"."""
    section = next(part for part in PAGE.split("\n## ")[1:] if part.startswith(SECTIONS[name]))
    said = re.findall(rf"```yaml\n# {kind}[^\n]*\n(.*?)```", section, flags=re.DOTALL)
    return [yaml.safe_load(text) for text in said]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A company as its section says that it is to be told, with its rules."""

    def make(name, mapping="", **more):
        company, folder = ALL[name](**more), tmp_path_factory.mktemp(name)
        given = {key: value for found in blocks(name, "company.yml") for key, value in found.items()}
        told = {} if name == "new_numbers" else given
        company = type(company)(company.tables, company.truth, told, company.columns)
        data = company.write(folder, told=not mapping)
        rules = named("tenure", read_economics("", data).rules)
        source = tenure.open_source(data, mapping)
        return company, source.instead(units.by_unit(source, rules.unit)), rules

    return make


def there_after_a_year(source, rules, *, by=None, group="all"):
    life = tenure.collect(subscriptions.life_table(source, as_of=LAST, by=by, policy=rules))
    life = life[life["group"] == group]
    curve = kaplan_meier(life, period="month").table.frame
    return curve[curve["period"] == 12].iloc[0]


@pytest.mark.parametrize("name", SECTIONS)
def test_the_page_names_the_settings_that_a_business_needs(name):
    company = ALL[name](size=40)
    said = {key: value for found in blocks(name, "company.yml") for key, value in found.items()}
    if name == "new_numbers":
        assert not company.settings
    else:
        assert said == company.settings
    columns = [column for found in blocks(name, "columns") for column in found]
    needed = [column for names in company.columns.values() for column in names]
    assert set(needed) <= set(columns)
    assert all(column in company.tables["customers"].columns.union(company.tables["subscriptions"].columns)
               for column in columns)  # fmt: skip


@pytest.mark.parametrize("name", ["club", "new_numbers", "meal_kit", "gym", "three_years", "seats"])
def test_with_these_settings_the_share_there_after_a_year_is_right(opened, name):
    company, source, rules = opened(name)
    found = there_after_a_year(source, rules)
    assert found["survival_low"] <= company.truth["there_after_a_year"] <= found["survival_high"]


def test_a_publishers_subscriptions_are_lives_of_their_own(opened):
    company, source, rules = opened("publisher")
    found = there_after_a_year(source, rules)
    assert found["survival_low"] <= company.truth["there_after_a_year"] <= found["survival_high"]
    source, rules = source.instead(units.by_unit(source, "subscription")), replace(rules, unit="subscription")
    for plan in ("Digital", "Print"):
        found = there_after_a_year(source, rules, by="plan", group=plan)
        assert found["survival_low"] <= company.truth[f"there_{plan}"] <= found["survival_high"]


def test_a_vendors_accounts_are_counted_with_all_that_belong_to_them(opened):
    company, source, rules = opened("seats")
    counted = tenure.collect(revenue.customers_by_month(source, as_of=LAST, policy=rules))
    assert counted["customers"].iloc[-1] == company.truth["customers"]


def test_gifts_that_a_mapping_tells_of_are_no_churn(opened, tmp_path):
    mapping = tmp_path / "mapping.yml"
    mapping.write_text(yaml.safe_dump(blocks("gifts", "mapping")[0]))
    company, source, rules = opened("gifts", str(mapping))
    found = there_after_a_year(source, rules, by="plan", group="Monthly")
    assert found["survival_low"] <= company.truth["there_after_a_year"] <= found["survival_high"]
    life = tenure.collect(subscriptions.life_table(source, as_of=LAST, by="plan", policy=rules))
    assert not life.loc[life["group"] == "Gift", "events"].any()
    gone = tenure.collect(subscriptions.churned_value(source, as_of=LAST, by="plan", policy=rules))
    assert "Gift" not in set(gone["group"])
