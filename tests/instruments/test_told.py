"""What engines tell reaches the measurement around it, in the direction that is on, and nobody else."""

from odecheck.instruments.told import STEPS, Times, Told, listener, listening, tell


def test_what_is_told_is_added_up_by_the_measurement_around_and_no_other():
    tell(nfe_forward=5)  # nobody listens: nothing happens
    assert listener() is None
    with listening() as outer:
        tell(nfe_forward=2)
        with listening() as inner:
            tell(nfe_forward=10)
            assert listener() is inner
        tell(nfe_forward=3, accepted_forward=1)
    assert outer.counts == {"nfe_forward": 5, "accepted_forward": 1} and inner.counts == {"nfe_forward": 10}
    assert listener() is None


def test_steps_are_of_the_direction_that_is_on_and_the_others_are_none():
    told = Told()
    told.step(accepted=True)
    told.step(accepted=False)
    told.direction = "backward"
    told.step(accepted=True)
    assert told.counts == dict(zip(STEPS, (1, 1, 1, 0), strict=True))


def test_what_is_asked_at_the_end_is_asked_once():
    told = Told({"nfe_forward": 1})
    told.later.append(lambda: {"nfe_forward": 4})
    assert told.settled() == told.settled() == {"nfe_forward": 5}


def test_a_callback_of_times_passes_on_what_it_is_given():
    seen = []
    Times(lambda *step: seen.append(step))(0.5, None, 0.25)
    assert seen == [(0.5, None, 0.25)]
