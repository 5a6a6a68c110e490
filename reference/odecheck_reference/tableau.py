"""Coefficients of the Radau IIA methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from .bounded import Array
from .fields.field import AnyArray

_linalg: Any = np.linalg


class Tableau:
    """The coefficients of Radau IIA with an odd number of stages, and of its estimate.

    Args:
        stages: how many.
    """

    def __init__(self, stages: int) -> None:
        legendre: Any = np.polynomial.legendre
        # c are the roots of P_s − P_{s−1} on [0, 1]
        row = np.zeros(stages + 1)
        row[stages], row[stages - 1] = 1.0, -1.0
        c = (np.sort(legendre.legroots(row).real) + 1) / 2
        c[-1] = 1.0
        x, w = legendre.leggauss(stages)
        points, a = (x + 1) / 2, np.empty((stages, stages))
        for j in range(stages):
            others = np.delete(c, j)
            for i in range(stages):
                at = points * c[i]
                a[i, j] = c[i] * float(np.sum(w / 2 * np.prod((at[:, None] - others) / (c[j] - others), axis=1)))
        self.stages, self.c, self.a = stages, c, a
        self.inverse: Array = _linalg.inv(a)
        found: tuple[AnyArray, AnyArray] = _linalg.eig(self.inverse)
        self.eigenvalues, self.to = found
        self.back: AnyArray = _linalg.inv(self.to)
        # that of the one which is real
        self.gamma = 1 / min((complex(x) for x in self.eigenvalues), key=lambda x: abs(x.imag)).real
        # e with (embedded formula) − (step) = γ h F(start) + Σ e_i Z_i
        powers = np.arange(stages)
        right = 1 / (powers + 1.0)
        right[0] -= self.gamma
        self.errors: Array = (_linalg.solve(c[None, :] ** powers[:, None], right) - a[-1]) @ self.inverse
        self.offsets = np.concatenate([[0.0], c])
        self.weights = np.array([1 / np.prod(np.delete(x - self.offsets, i)) for i, x in enumerate(self.offsets)])
