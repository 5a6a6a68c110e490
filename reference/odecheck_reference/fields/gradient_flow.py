"""A field that is minus the gradient of a potential: its Jacobian in y is symmetric everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .assembly import Assembly
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
        weight = out.theta[: n * d].reshape(n, d)
        s = ACTIVATIONS[self.activation]
        u = out.y @ weight.T + out.theta[n * d :]
        value = s.value(u)
        out.add(slice(0, d), -value @ weight)
        if order == 0:
            return out.jet()
        # F_k = -sum_i W_ik s_i, so F_k,p = -sum_i (W_ik s'_i du_ip + [p is W_ik] s_i)
        du = self._inner(out, weight)
        rise = s.first(u)[:, :, None] * du
        out.first -= weight.T @ rise
        for k in range(d):
            row, of_weight = slice(k, k + 1), self._of_weight(k)
            out.add_first(row, of_weight, -value[:, None, :])
            if order > 1:
                out.add_mixed(row, of_weight, slice(0, out.size), -rise[:, None])
        if order > 1:
            self._second(out, weight, s.first(u), s.second(u), du)
        return out.jet()

    def _inner(self, out: Assembly, weight: AnyArray) -> AnyArray:
        """du_i/dz: W_i on y, y_j on W_ij, 1 on b_i. (batch, width, N)"""
        d, n = self.state, self.width
        du: AnyArray = np.zeros((len(out.y), n, out.size)) + 0 * out.t.flat[0]
        du[:, :, 1 : 1 + d] += weight
        for j in range(d):
            diagonal = np.einsum("bii->bi", du[:, :, self._of_weight(j)])  # a view
            diagonal += out.y[:, j : j + 1]
        du[:, :, out.of_theta(n * d, n)] += np.eye(n)
        return du

    def _of_weight(self, column: int) -> slice:
        """W_ij of all i for one column j, as components of z."""
        first = 1 + self.state + column
        return slice(first, first + (self.width - 1) * self.state + 1, self.state)

    def _second(self, out: Assembly, weight: AnyArray, slope: AnyArray, bend: AnyArray, du: AnyArray) -> None:
        """-sum_i W_ik (s''_i du_ip du_iq + s'_i u_i,pq), where u_i,pq = 1 for the pair (W_ij, y_j) alone."""
        d = self.state
        outer = (weight.T[None, :, :, None] * (bend[:, None, :, None] * du[:, None])).swapaxes(-1, -2) @ du[:, None]
        out.second -= outer
        for k in range(d):
            for j in range(d):
                pull = -(slope * weight[:, k])[:, None, :, None]
                out.add_mixed(slice(k, k + 1), self._of_weight(j), slice(1 + j, 2 + j), pull)


EXAMPLES: Mapping[str, GradientFlow] = {
    "gradient": GradientFlow(2, 3),
    "gradient of softplus": GradientFlow(3, 2, "softplus"),
}
