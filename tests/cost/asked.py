"""The smallest run of `odecheck cost`: one row."""

from __future__ import annotations

ONE = ("--problem", "heavy", "--subject", "dopri5(rtol=0.001, landing), torchdiffeq backprop")
COST = ("cost", *ONE, "--quantity", "solution", "--rungs", "1", "--repeat", "0", "--run", "c1")
