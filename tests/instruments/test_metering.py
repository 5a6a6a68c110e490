"""Costs: charged to the block around, and to that one alone unless it is charged on."""

from odecheck.instruments.metering import Meter, charge, metered


def test_costs_add_up_in_the_block_around():
    charge(Meter(7, 7, 7.0))  # nobody counts: nothing happens
    with metered() as cost:
        charge(Meter(nfe=10, solves=1, seconds=0.5))
        charge(Meter(nfe=5, solves=2, seconds=0.25))
    assert cost == Meter(15, 3, 0.75)


def test_an_inner_block_is_charged_on_by_hand():
    with metered() as outer:
        with metered() as inner:
            charge(Meter(nfe=3))
        assert outer == Meter()
        charge(inner)
        charge(inner)
    assert outer.nfe == 6 and inner.nfe == 3
