"""A field that is minus the gradient of a potential: its Jacobian in y is symmetric everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .assembly import Assembly, indices
from .field import AnyArray, Jet
from .functions import ACTIVATIONS


@dataclass(frozen=True)
class GradientFlow:
    """F = -W' s(W y + b), minus the gradient of sum_i S((W y + b)_i) with S' = s. theta = W.ravel(), b.

    width: rows of W. activation: s, a name out of ACTIVATIONS.
    """

    state: int
    width: int
    activation: str = "tanh"

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation {self.activation!r}; the known ones are {sorted(ACTIVATIONS)}")

    @property
    def inputs(self) -> int:
        return self.state

    @property
    def outputs(self) -> int:
        return self.state

    @property
    def params(self) -> int:
        return self.width * (self.state + 1)

    @property
    def parts(self) -> Mapping[str, slice]:
        return {"h": slice(0, self.state)}

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        out = Assembly(t, y, theta, self.state, order)
        d, n = self.state, self.width
        rows = indices(d)
        weight = out.theta[: n * d].reshape(n, d)
        s = ACTIVATIONS[self.activation]
        u = out.y @ weight.T + out.theta[n * d :]
        value = s.value(u)
        out.add(rows, -value @ weight)
        if order == 0:
            return out.jet()
        # F_k = -sum_i W_ik s_i, so F_k,p = -sum_i (W_ik s'_i du_ip + [p is W_ik] s_i)
        du = self._inner(out, weight)
        rise = s.first(u)[:, :, None] * du
        out.first -= weight.T @ rise
        of_weight = out.of_theta(0, n * d).reshape(n, d)
        everything = indices(out.size)
        for k in rows:
            out.add_first(rows[k : k + 1], of_weight[:, k], -value[:, None, :])
            if order > 1:
                out.add_mixed(rows[k : k + 1], of_weight[:, k], everything, -rise[:, None])
        if order > 1:
            self._second(out, weight, s.first(u), s.second(u), du)
        return out.jet()

    def _inner(self, out: Assembly, weight: AnyArray) -> AnyArray:
        """du_i/dz: W_i on y, y_j on W_ij, 1 on b_i. (batch, width, N)"""
        d, n = self.state, self.width
        du: AnyArray = np.zeros((len(out.y), n, out.size)) + 0 * out.t.flat[0]
        units = indices(n)
        du[:, :, 1 : 1 + d] += weight
        du[:, units[:, None], out.of_theta(0, n * d).reshape(n, d)] += out.y[:, None, :]
        du[:, units, out.of_theta(n * d, n)] += 1
        return du

    def _second(self, out: Assembly, weight: AnyArray, slope: AnyArray, bend: AnyArray, du: AnyArray) -> None:
        """-sum_i W_ik (s''_i du_ip du_iq + s'_i u_i,pq), where u_i,pq = 1 for the pair (W_ij, y_j) alone."""
        d, n = self.state, self.width
        rows = indices(d)
        outer = (weight.T[None, :, :, None] * (bend[:, None, :, None] * du[:, None])).swapaxes(-1, -2) @ du[:, None]
        out.second -= outer
        of_weight = out.of_theta(0, n * d).reshape(n, d)
        for k in rows:
            for j in range(d):
                pull = -(slope * weight[:, k])[:, None, :, None]
                out.add_mixed(rows[k : k + 1], of_weight[:, j], out.of_state(rows[j : j + 1]), pull)


EXAMPLES: Mapping[str, GradientFlow] = {
    "gradient": GradientFlow(2, 3),
    "gradient of softplus": GradientFlow(3, 2, "softplus"),
}
