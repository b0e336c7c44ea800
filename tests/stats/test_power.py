"""The size of an experiment against published tables."""

import pytest

from reference import experiments as reference
from tenure.errors import InputError
from tenure.stats import power


def test_sample_sizes():
    for effect, n in reference.SIZE_OF_MEANS.items():
        assert power.sample_size_means(effect) == pytest.approx(n, abs=5e-4)
    control, variant, n = reference.SIZE_OF_SHARES
    assert power.sample_size_shares(control, variant) == pytest.approx(n, abs=0.05)
    for ratio, events in reference.SCHOENFELD.items():
        assert power.schoenfeld_events(ratio) == pytest.approx(events, abs=0.01)
        assert power.detectable_hazard_ratio(events) == pytest.approx(1 / ratio, rel=1e-4)


def test_looking_early():
    for looks, error in reference.PEEKING.items():
        assert power.peeking_error(looks) == pytest.approx(error, abs=6e-4)
    for looks, (critical, price) in reference.POCOCK.items():
        assert power.peeking_critical(looks) == pytest.approx(critical, abs=6e-4)
        assert power.peeking_price(looks) == pytest.approx(price, abs=2e-3)


def test_no_look_is_refused():
    with pytest.raises(InputError, match="looks"):
        power.peeking_error(0)
