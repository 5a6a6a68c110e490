"""The declaration of a library: what contradicts itself is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from odecheck.engines.library import Declared, Known, named
from odecheck.engines.own import LIBRARY
from odecheck.errors import BadInput
from tests.engines.made import ENGINE, made


def test_a_known_failure_has_a_reason():
    with pytest.raises(ValueError, match="has no reason"):
        named(Known(" ", claims=("SOL-2",)))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: made("a", Declared(ENGINE, ("tsit5",))), "names the method 'tsit5' for 'another', which Adaptive"),
        (lambda: made("a", usual="RK45"), "names the method 'RK45' for every engine"),
        (lambda: made("a", Declared(ENGINE), Declared(ENGINE)), "declares the engine 'another' twice"),
        (lambda: replace(LIBRARY, tested=()), "tested with no version"),
    ],
)
def test_a_library_that_contradicts_itself_is_refused_where_it_is_made(wrong, said):
    with pytest.raises(BadInput) as refused:
        wrong()
    assert said in refused.value.seen and refused.value.fix
