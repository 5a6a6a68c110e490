"""A straight line through points, and how well its slope is known.

In place of `scipy.stats`, whose import takes a third as long as torch's, in every process that has claims.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special  # pyright: ignore[reportMissingTypeStubs]
from odecheck_reference.bounded import Array

_special: Any = scipy.special


def slope(x: Array, y: Array) -> tuple[float, float]:
    """The slope of the line of least squares, and the half width of its interval of 99 %, by Student's t.

    Args:
        x: places, (n,), n ≥ 3.
        y: values there, (n,).

    Returns:
        Both in units of y per unit of x; not a number where a value is none.
    """
    if not np.isfinite(y).all():
        return np.nan, np.nan
    line, covariance = np.polyfit(x, y, 1, cov=True)
    return float(line[0]), float(_special.stdtrit(len(x) - 2, 0.995) * np.sqrt(covariance[0, 0]))
