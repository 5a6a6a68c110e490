"""A table of two libraries whose costs follow a law, so that what is read off it is known."""

from __future__ import annotations

import math

import pandas as pd

from odecheck.cost import COLUMNS


def laws():
    """Two libraries with error rtol and 10 rtol, cost 100 rtol^(-1/5) and 300 rtol^(-1/5)."""
    rows = []
    for library, factor, price in (("a", 1.0, 100.0), ("b", 10.0, 300.0)):
        for rtol in (1e-4, 1e-5, 1e-6, 1e-7):
            row = dict.fromkeys(COLUMNS, math.nan)
            row.update(
                model="m",
                problem="p",
                library=library,
                engine=library,
                method="dopri5",
                rtol=rtol,
                device="cpu",
                quantity="solution",
                dtype="float64",
                state="measured",
                achieved_error=factor * rtol,
                nfe_forward=price * rtol**-0.2,
                rejected_forward=0.0,
            )
            rows.append(row)
    return pd.DataFrame(rows)
