"""A company's economics: where they are found, what overrides them, and what is refused."""

from __future__ import annotations

import pytest

from tenure.economics import Economics, company_file, read_economics
from tenure.errors import InputError


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "data" / "mine").mkdir(parents=True)
    monkeypatch.setenv("TENURE_ROOT", str(tmp_path))
    return tmp_path


def test_the_file_beside_the_data_comes_before_that_of_all_data(project):
    assert read_economics("", "data/mine") == Economics()
    (project / "data" / "company.yml").write_text("margin: 0.5\n")
    facts = read_economics("", "data/mine")
    assert (facts.margin, facts.origin, facts.given) == (0.5, "data/company.yml", ("margin",))
    (project / "data" / "mine" / "company.yml").write_text("margin: 0.6\n")
    assert read_economics("", "data/mine").margin == 0.6
    assert read_economics("", "data/mine/shop.duckdb").margin == 0.6
    assert read_economics("", "duckdb://data/mine/shop.duckdb").margin == 0.6
    assert read_economics("", "postgres://host/shop").margin == 0.5
    assert read_economics("data/company.yml", "data/mine").margin == 0.5


def test_a_parameter_overrides_and_an_empty_one_does_not(project):
    (project / "data" / "company.yml").write_text("margin: 0.5\ndiscount_rate: 0.2\n")
    facts = read_economics("", "").overriding({"margin": 0.8, "discount_rate": None, "currency": "", "by": 3})
    assert (facts.margin, facts.discount_rate) == (0.8, 0.2)
    assert facts.overridden == ("margin",)
    assert facts.given == ("discount_rate", "margin")
    assert facts.origin == "data/company.yml"
    assert read_economics("", "").overriding({"discount_rate": 0.0}).discount_rate == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("margin: 5\n", "margin is 5; it should be less than or equal to 1"),
        ("margin: nan\n", "margin is 'nan'"),
        ("margin: .nan\n", "margin is nan"),
        ("fee_share: 2\n", "fee_share is 2"),
        ("margn: 0.5\n", "margn: there is no such key. Fix: is 'margin' meant?"),
        ("margin: 0.5\nmargin: 0.6\n", "line 2 repeats the key 'margin'"),
        ("margin: [\n", "company.yml is not YAML"),
        ("- 0.5\n", "company.yml has no keys"),
        ("time_zone: Mars\n", "a time zone is written like Europe/Rome"),
        ("accent: red\n", "accent is 'red'"),
        ("horizon_months: 0\n", "horizon_months is 0"),
        ("fiscal_year_start: 13\n", "fiscal_year_start is 13; it should be less than or equal to 12"),
        (
            "fiscal_yaer_start: 4\n",
            "fiscal_yaer_start: there is no such key. Fix: is 'fiscal_year_start' meant?",
        ),
        ("logo: none.png\n", "logo: there is no file none.png beside it"),
        ("logo: company.yml\n", "logo: company.yml is not a PNG, JPEG or SVG picture"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(project, text, words):
    (project / "data" / "company.yml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_economics("", "")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Fix:" in str(caught.value)


def test_a_parameter_that_cannot_be_is_refused():
    with pytest.raises(InputError, match="The parameter `margin` is 5; it should be less than"):
        Economics().overriding({"margin": 5})


def test_a_named_file_must_be_there(project):
    with pytest.raises(InputError, match=r"The company file mine\.yml does not exist"):
        company_file("mine.yml")


def test_a_change_of_the_logo_is_a_change_of_the_company(project):
    (project / "data" / "company.yml").write_text("logo: mark.svg\n")
    (project / "data" / "mark.svg").write_text("<svg/>")
    assert read_economics().logo == "data:image/svg+xml;base64,PHN2Zy8+"
    before = repr(read_economics())
    (project / "data" / "mark.svg").write_text("<svg></svg>")
    assert repr(read_economics()) != before
    (project / "data" / "mark.svg").write_bytes(bytes(300_000))
    with pytest.raises(InputError, match=r"logo: mark\.svg is larger than 200 kB"):
        read_economics()


def test_what_is_left_of_revenue():
    facts = Economics(margin=0.8, fee_share=0.02, fee_fixed=0.25, cost_to_serve=1.0)
    assert facts.left_of(1000, "EUR") == pytest.approx(780 - 25)
    assert facts.left_of(1000, "JPY", charges=2, months=3) == pytest.approx(780 - 0.5 - 3)
    assert facts.discount(0) == 1
    assert Economics(discount_rate=0.21).discount(6) == pytest.approx(1 / 1.1)


def test_a_stores_commission_is_taken_off_what_it_sold():
    facts = Economics(margin=0.7, commission={"app_store": 0.3, "web": 0.03}, fee_share=0.02)
    assert facts.after_commission({"app_store": 600.0, "web": 400.0}).fee_share == pytest.approx(0.212)
    assert facts.after_commission({"web": 1.0, "partner": 1.0}).fee_share == pytest.approx(0.035)
    with pytest.raises(InputError, match="app_store, web are none of the customers' tv"):
        facts.after_commission({"tv": 1.0})
    assert Economics().after_commission({}) == Economics()
