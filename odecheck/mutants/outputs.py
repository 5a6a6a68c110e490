"""Mistakes that a few outputs at round times never show: by their number, places, intervals and starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from odecheck.engines.base import Derivatives, Engine, LossFn

from .base import wrong_engine, wrong_field

MANY = 8  # times from which on some of these mistakes are made


def _times(change: Callable[[Tensor], Tensor]) -> Any:
    def gradient(engine: Engine, module: Any, solver: Any, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        got = engine.gradient(module, solver, y0, ts, loss)
        return replace(got, ts=change(got.ts.clone()))

    return gradient


def _neighbours(dts: Tensor) -> Tensor:
    return torch.cat([dts[:1], dts[2:-1], dts[1:2], dts[-1:]]) if len(dts) >= 4 else dts


def _wrong_late(dts: Tensor) -> Tensor:
    dts[MANY - 1 :] *= 1.01
    return dts


TIMES_OF_NEIGHBOURS = wrong_engine("dL/dt of the neighbour from four times on", gradient=_times(_neighbours))
TIMES_WRONG_FROM_EIGHT = wrong_engine("dL/dt wrong from the eighth time on", gradient=_times(_wrong_late))


def _late_states(y: Tensor) -> Tensor:
    """From the ninth output on each has the state of the one before."""
    return torch.cat([y[:MANY], y[MANY - 1 : -1]])


STATES_OF_NEIGHBOURS = wrong_engine(
    "outputs off by one from the ninth on",
    solution=lambda e, m, s, y0, ts: _late_states(e.solution(m, s, y0, ts)),
    gradient=lambda e, m, s, y0, ts, loss: e.gradient(m, s, y0, ts, lambda y: loss(_late_states(y))),
)
START_UNSEEN = wrong_engine(
    "what the loss sees of the start is not differentiated",
    gradient=lambda e, m, s, y0, ts, loss: e.gradient(m, s, y0, ts, lambda y: loss(torch.cat([y[:1].detach(), y[1:]]))),
)


def _binary(ts: Tensor) -> Tensor:
    rounded = (ts * 64).round() / 64
    return rounded if bool((rounded.diff() != 0).all()) else ts


BINARY_TIMES = wrong_engine(
    "times rounded to 1/64",
    solution=lambda e, m, s, y0, ts: e.solution(m, s, y0, _binary(ts)),
    gradient=lambda e, m, s, y0, ts, loss: e.gradient(m, s, y0, _binary(ts), loss),
)


def _unlucky(ts: Tensor) -> bool:
    """Three intervals in a hundred, by the digits of their length."""
    return int(float((ts[-1] - ts[0]).detach().abs()) * 1e9) % 100 < 3


def _rare_solution(engine: Engine, module: Any, solver: Any, y0: Tensor, ts: Tensor) -> Tensor:
    states = engine.solution(module, solver, y0, ts)
    return states * (1.01 if _unlucky(ts) else 1.0)


def _rare_gradient(engine: Engine, module: Any, solver: Any, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
    got = engine.gradient(module, solver, y0, ts, loss)
    return replace(got, y0=1.01 * got.y0, theta=1.01 * got.theta) if _unlucky(ts) else got


RARE_INTERVALS = wrong_engine("wrong on three intervals in a hundred", solution=_rare_solution, gradient=_rare_gradient)
INSIDE_A_BOX = wrong_field("states beyond 2 taken for 2", lambda f, t, y: f(t, y.clamp(-2.0, 2.0)))
