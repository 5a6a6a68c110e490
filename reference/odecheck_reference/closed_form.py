"""Flows that are known in closed form, with their derivatives, in mpmath numbers: no step is taken.

Linear fields by the exponential series, the logistic field by its formula. Both give a `collocation.Flow`, so that
whatever is made of the one can be made of the other.
"""

from __future__ import annotations

from typing import Any

import mpmath  # pyright: ignore[reportMissingTypeStubs]
import numpy as np

from .bounded import Array
from .collocation import DIGITS, Flow, exactly
from .fields import Linear, Logistic, Mlp
from .fields.field import AnyArray, Field

mp: Any = mpmath


def has_closed_form(field: Field) -> bool:
    """Whether `closed_flow` knows the field: linear in y (and t), or logistic."""
    return isinstance(field, Linear | Logistic) or (isinstance(field, Mlp) and field.hidden == ())


def closed_flow(field: Field, theta: Array, y0: Array, ts: Array, *, order: int) -> Flow:
    """The flow from ts[0] to all of ts and its derivatives up to `order`, as `collocation.flow` gives it.

    Raises TypeError for a field that has no closed form here.
    """
    if not has_closed_form(field):
        raise TypeError(f"{type(field).__name__} has no closed form")
    lost = _cancelled(field, theta, ts)
    with mp.workdps(DIGITS + 12 + 2 * lost):
        if isinstance(field, Logistic):
            return _logistic(exactly(theta), exactly(y0), exactly(ts), order)
        if isinstance(field, Linear):
            return _linear(field.state, field.time, exactly(theta), exactly(y0), exactly(ts), order, lost)
        assert isinstance(field, Mlp)
        return _affine_network(field, exactly(theta), exactly(y0), exactly(ts), order, lost)


def _cancelled(field: Field, theta: Array, ts: Array) -> int:
    """Half of the digits that the exponential series of a linear field may lose: terms up to e^ρ add up to e^(−ρ)."""
    if isinstance(field, Logistic):
        return 0
    width = field.state + int(isinstance(field, Mlp) and field.time)
    matrix = theta[: field.state * width].reshape(field.state, width)[:, : field.state]
    reach = float(np.max(np.sum(np.abs(matrix), axis=1)) * np.max(np.abs(ts - ts[0])))
    return int(reach / np.log(10)) + 1


def _linear(d: int, moving: bool, theta: AnyArray, y0: AnyArray, ts: AnyArray, order: int, lost: int) -> Flow:
    """y' = A y + b + c t, by the series of exp(τ M), M = [[A, b + c t0, c], [0, 0, 1·…], [0, 0, 0]], on (y0, 1, 0).

    The coefficients of τ^k, and with them their first and second derivatives in zeta = (t0, y0, A, b, c) — the Fréchet
    derivatives of the exponential — follow from one recursion: with E_p the derivative of A in zeta_p,

        (k + 1) y_{k+1}    = A y_k + g_k,                       g_0 = b + c t0,  g_1 = c,  else 0
        (k + 1) y_{k+1,p}  = A y_{k,p} + E_p y_k + g_{k,p}
        (k + 1) y_{k+1,pq} = A y_{k,pq} + E_p y_{k,q} + E_q y_{k,p} + g_{k,pq}.
    """
    matrix, b = theta[: d * d].reshape(d, d), theta[d * d : d * d + d]
    c = theta[d * d + d :] if moving else 0 * b
    batch, size = len(y0), 1 + d + len(theta)
    in_y, in_a, in_b, in_c = 1 + np.arange(d), 1 + d + np.arange(d * d).reshape(d, d), 1 + d + d * d, 1 + 2 * d + d * d
    rows = np.arange(d)

    def turned(block: AnyArray) -> AnyArray:
        """E_p x for all p: x (batch, state, ...) → (batch, state, size, ...)."""
        out = np.full((batch, d, size, *block.shape[2:]), mp.mpf(0), dtype=object)
        for i in rows:
            out[:, i, in_a[i]] = block
        return out

    forcing = [b + c * ts[0], c]
    slopes = [np.full((d, size), mp.mpf(0), dtype=object) for _ in range(2)]
    slopes[0][:, 0] = c
    slopes[0][rows, in_b + rows] = mp.mpf(1)
    bends = np.full((d, size, size), mp.mpf(0), dtype=object)
    if moving:
        slopes[0][rows, in_c + rows] = ts[0]
        slopes[1][rows, in_c + rows] = mp.mpf(1)
        bends[rows, 0, in_c + rows] = bends[rows, in_c + rows, 0] = mp.mpf(1)

    y = y0
    first = np.full((batch, d, size), mp.mpf(0), dtype=object)
    first[:, rows, in_y] = mp.mpf(1)
    second = np.full((batch, d, size, size), mp.mpf(0), dtype=object)
    spans = ts - ts[0]
    powers = [mp.mpf(1)] * len(ts)
    sums: list[list[AnyArray]] = [[y, first, second][: order + 1] for _ in ts]
    reach = float(np.max(np.abs(spans)) * max(np.sum(np.abs(matrix), axis=1)))
    k = 0
    while True:
        new = y @ matrix.T + (forcing[k] if k < 2 else 0)
        if order == 2:
            mixed = turned(first)
            second = np.einsum("ij,bjpq->bipq", matrix, second) + mixed + np.swapaxes(mixed, -1, -2)
            second = (second + (bends if k == 0 else 0)) / (k + 1)
        if order >= 1:
            first = (matrix @ first + turned(y) + (slopes[k] if k < 2 else 0)) / (k + 1)
        y = new / (k + 1)
        k += 1
        powers = [power * span for power, span in zip(powers, spans, strict=True)]
        terms = [y, first, second][: order + 1]
        for row, power in zip(sums[1:], powers[1:], strict=True):
            row[:] = [s + term * power for s, term in zip(row, terms, strict=True)]
        if k > 2 * reach + 4 and k % 4 == 0:
            furthest = max(abs(power) for power in powers)
            if max(np.max(np.abs(term)) * furthest for term in terms) < mp.mpf(10) ** (-DIGITS - 8 - lost):
                break
    stacked = [np.stack([row[i] for row in sums]) for i in range(order + 1)]
    return Flow(*stacked)


def _affine_network(field: Mlp, theta: AnyArray, y0: AnyArray, ts: AnyArray, order: int, lost: int) -> Flow:
    """A network without hidden layers is a linear field whose weights are numbered row by row: [A c], then b."""
    d = field.state
    width = d + int(field.time)
    weight = theta[: d * width].reshape(d, width)
    parts = [weight[:, :d].ravel(), theta[d * width :], *([weight[:, d]] if field.time else [])]
    numbers = np.arange(d * width).reshape(d, width)
    order_of = [numbers[:, :d].ravel(), d * width + np.arange(d), *([numbers[:, d]] if field.time else [])]
    here = np.argsort(np.concatenate(order_of))  # where the network's parameters sit in the linear field's
    kept = np.concatenate([np.arange(1 + d), 1 + d + here])
    f = _linear(d, field.time, np.concatenate(parts), y0, ts, order, lost)
    first = None if f.first is None else f.first[..., kept]
    second = None if f.second is None else f.second[..., kept, :][..., kept]
    return Flow(f.y, first, second)


def _logistic(theta: AnyArray, y0: AnyArray, ts: AnyArray, order: int) -> Flow:
    """y = K / D, D = 1 + (K / u − 1) e, e = exp(−r τ), u = y0; its derivatives in (t0, u, r, K).

    With s = 1 / y = 1 / K + (1 / u − 1 / K) e: y_p = −y² s_p, y_pq = 2 y³ s_p s_q − y² s_pq.
    Raises ArithmeticError when the solution ends before the last time.
    """
    r, cap = theta
    rows: list[list[AnyArray]] = []
    for t in ts:
        span = t - ts[0]
        e = mp.exp(-r * span)
        block: list[AnyArray] = []
        for u in y0[:, 0]:
            gap = 1 / u - 1 / cap
            s = 1 / cap + gap * e
            if not s * u > 0:
                raise ArithmeticError(f"the logistic solution from {float(u)} ends before t = {float(t)}")
            first = np.array([0 * s, -e / u**2, -span * gap * e, (e - 1) / cap**2], dtype=object)
            second = np.full((4, 4), 0 * s, dtype=object)
            second[1, 1] = 2 * e / u**3
            second[1, 2] = second[2, 1] = span * e / u**2
            second[2, 2] = span**2 * gap * e
            second[2, 3] = second[3, 2] = -span * e / cap**2
            second[3, 3] = 2 * (1 - e) / cap**3
            outer = first[:, None] * first[None, :]
            block.append(np.concatenate([[1 / s], -first / s**2, (outer * 2 / s**3 - second / s**2).ravel()]))
        rows.append(block)
    packed = np.array(rows, dtype=object)[:, :, None, :]
    parts = [packed[..., 0], packed[..., 1:5], packed[..., 5:].reshape(*packed.shape[:3], 4, 4)]
    return Flow(*parts[: order + 1])
