"""y' = A y + b, and the non-autonomous y' = A y + b + c t."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .assembly import Assembly
from .field import AnyArray, Jet


@dataclass(frozen=True)
class Linear:
    """F_i = sum_j A_ij y_j + b_i (+ c_i t). theta = A.ravel(), b (, c)."""

    state: int
    time: bool = False

    @property
    def inputs(self) -> int:
        return self.state

    @property
    def outputs(self) -> int:
        return self.state

    @property
    def params(self) -> int:
        return self.state * (self.state + (2 if self.time else 1))

    @property
    def parts(self) -> Mapping[str, slice]:
        return {"h": slice(0, self.state)}

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        d = self.state
        out = Assembly(t, y, theta, d, order)
        t, y = out.t, out.y
        rows, of_t = slice(0, d), slice(0, 1)
        matrix = out.theta[: d * d].reshape(d, d)
        out.add(rows, y @ matrix.T + out.theta[d * d : d * d + d])
        slope = out.theta[d * d + d :]
        if self.time:
            out.add(rows, np.broadcast_to(slope * t, y.shape))
        if order == 0:
            return out.jet()

        of_y = out.of_state(rows)
        of_b = out.of_theta(d * d, d)
        of_c = out.of_theta(d * d + d, d)
        of_row = [out.of_theta(i * d, d) for i in range(d)]  # where row i of A sits
        out.add_first(rows, of_y, matrix)
        out.add_first_diagonal(rows, of_b, 1)
        for i in range(d):
            out.add_first(slice(i, i + 1), of_row[i], y[:, None, :])
        if self.time:
            out.add_first(rows, of_t, slope[:, None])
            out.add_first_diagonal(rows, of_c, t)
        if order == 2:  # only A_ij y_j and c_i t are products
            for i in range(d):
                out.add_mixed(slice(i, i + 1), of_row[i], of_y, np.eye(d))
            if self.time:
                out.add_mixed_rowwise(rows, of_c, of_t, np.ones((d, 1)))
        return out.jet()


EXAMPLES: Mapping[str, Linear] = {"linear": Linear(3), "linear in time": Linear(2, time=True)}
