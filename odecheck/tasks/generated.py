"""Series made in place of measured ones: the same kind of system, and the same numbers in every call."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np


def resonances(rows: int) -> np.ndarray:
    """(rows, 5): a force that sweeps its frequency, the voltage that made it, and three accelerations.

    Each mode is q'' + 2 d w q' + w² q = force, stepped exactly for a force that is constant between rows.
    """
    t = np.arange(rows, dtype=float)
    force = np.sin(2 * np.pi * t * (0.01 + 0.04 * (t % 2000) / 4000))
    modes = np.stack([_mode(force, w, damping) for w, damping in ((0.15, 0.03), (0.25, 0.02), (0.4, 0.02))], axis=1)
    mixed = modes @ np.array([[1.0, 0.6, 0.2], [0.4, -1.0, 0.7], [0.2, 0.5, -1.0]])
    noise = np.random.default_rng(0).standard_normal((rows, 4)) * 0.02
    voltage = np.convolve(force, [0.5, 0.3, 0.2])[:rows]
    return np.concatenate(
        [force[:, None], voltage[:, None] + noise[:, :1], mixed / mixed.std(0) + noise[:, 1:]], axis=1
    )


def _mode(force: np.ndarray, w: float, damping: float) -> np.ndarray:
    """The acceleration of a mode of frequency w (radians a row)."""
    signal: Any = import_module("scipy.signal")
    numerator, denominator = [1.0, 0.0, 0.0], [1.0, 2 * damping * w, w**2]
    num, den, _ = signal.cont2discrete((numerator, denominator), 1.0, method="zoh")
    return np.asarray(signal.lfilter(np.ravel(num), den, force))


def duffing(rows: int) -> np.ndarray:
    """(rows, 2): V1, noise in a band, and V2, where V2'' + 0.1 V2' + 0.25 V2 + V2³ = V1 / 4, stepped by half rows."""
    rng = np.random.default_rng(0)
    force = np.convolve(rng.standard_normal(rows + 7), np.hanning(9)[1:], mode="valid") / 2
    x, v, out = 0.0, 0.0, np.empty(rows)
    for row in range(rows):
        out[row] = x
        for _ in range(2):  # symplectic Euler: damped, so that it does not drift
            v += 0.5 * (force[row] / 4 - 0.1 * v - 0.25 * x - x**3)
            x += 0.5 * v
    return np.stack([force, out], axis=1)
