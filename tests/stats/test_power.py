"""The size of an experiment against published tables."""

import math

import pytest

from reference import experiments as reference
from tenure.errors import InputError
from tenure.stats import power


def test_the_detectable_hazard_ratio_is_schoenfelds():
    for ratio, events in reference.SCHOENFELD.items():
        assert power.detectable_hazard_ratio(events) == pytest.approx(1 / ratio, rel=1e-4)
    assert math.isnan(power.detectable_hazard_ratio(0))


def test_looking_early():
    for looks, error in reference.PEEKING.items():
        assert power.peeking_error(looks) == pytest.approx(error, abs=6e-4)
    for looks, (critical, price) in reference.POCOCK.items():
        assert power.peeking_critical(looks) == pytest.approx(critical, abs=6e-4)
        assert power.peeking_price(looks) == pytest.approx(price, abs=2e-3)


def test_no_look_is_refused():
    with pytest.raises(InputError, match="looks"):
        power.peeking_error(0)
