"""Coefficients of the Radau IIA methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from .bounded import Array


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
        self.stages, self.c, self.a, self.inverse = stages, c, a, np.linalg.inv(a)
        self.eigenvalues, self.to = np.linalg.eig(self.inverse)
        self.back = np.linalg.inv(self.to)
        self.gamma = 1 / float(self.eigenvalues[np.argmin(np.abs(self.eigenvalues.imag))].real)
        # e with (embedded formula) − (step) = γ h F(start) + Σ e_i Z_i
        powers = np.arange(stages)
        right = 1 / (powers + 1.0)
        right[0] -= self.gamma
        self.errors: Array = (np.linalg.solve(c[None, :] ** powers[:, None], right) - a[-1]) @ self.inverse
        self.offsets = np.concatenate([[0.0], c])
        self.weights = np.array([1 / np.prod(np.delete(x - self.offsets, i)) for i, x in enumerate(self.offsets)])
