"""Failures of solves and factorisations that are rows of a training, and no errors of the program."""

from __future__ import annotations

import torch

from odecheck.errors import CurvatureError
from odecheck.ode import SolveError

LinAlgError: type[RuntimeError] = vars(torch.linalg)["LinAlgError"]
# what torchdiffeq says of a solution that it cannot follow
GIVEN_UP = ("underflow in dt", "max_num_steps", "non-finite values in state")
FAILURES = (AssertionError, SolveError, ArithmeticError, LinAlgError, CurvatureError)


def given_up(error: BaseException) -> str:
    """What a row says of a solve or a factorisation that failed. Raises the error again if it is another one."""
    said = str(error).strip().splitlines()[0] if str(error).strip() else ""
    if isinstance(error, AssertionError) and not any(reason in said for reason in GIVEN_UP):
        raise error
    return f"{type(error).__name__}: {said}"[:200]
