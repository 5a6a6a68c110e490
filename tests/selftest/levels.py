"""Rows of discernment: what a claim and gradcheck refute of dL/dθ."""

from __future__ import annotations

import math

ASKED = (
    ("NODE-2", "odecheck.odeint", 1e-8, 8e-11),
    ("NODE-2", "odecheck.odeint", 1e-6, 6e-10),
    ("gradcheck, defaults", "", math.nan, 1e-3),
)
LEVELS = [
    {
        "test": test,
        "engine": engine,
        "rtol": rtol,
        "part": "theta",
        "verdict": "holds",
        "resolved": 0.0,
        "smallest_refuted": by,
    }
    for test, engine, rtol, by in ASKED
]
