"""A library: torchdiffeq's backpropagation under another name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchdiffeq import odeint

from odecheck.engines.base import OdeIntEngine
from odecheck.engines.library import Asked, Declared, Library
from odecheck.engines.script_call import Call, like_torchdiffeq
from odecheck.solvers import Adaptive

ENGINE = OdeIntEngine("mine backprop", "steps", odeint)


def asks(release: str, folder: str) -> Sequence[Asked]:
    return [Asked(Adaptive("dopri5", rtol=1e-7), ENGINE, "backprop", "dopri5", ("solution",), brief=True)]


def script_call(name: str, how: dict[str, Any], options: dict[str, Any]) -> Call:
    line = "from torchdiffeq import odeint"
    return like_torchdiffeq(line, "return odeint(field, y0, ts, **how)", how, options)


LIBRARY = Library(
    "mine",
    "torchdiffeq",
    ("0.2.5",),
    asks,
    engines=(Declared(ENGINE, ("dopri5",)),),
    lands=True,
    script_call=script_call,
)
