"""Whether a field of one's own is stiff, seen before anything is solved: its fastest rate beside the window."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
from odecheck_reference import Problem
from odecheck_reference.layered import is_small, reach
from odecheck_reference.variational import Variational

# explicit steps are as long as about three time constants; so many of these in a window are what a run costs anyway
PLAIN = 200.0
# beyond so many an explicit solve takes ten seconds and more, and a verdict several of them at tighter tolerances
TOO_MANY = 1e4
# shares of the window that implicit steps from the start are long: the fastest rate may not be there at the start
SHARES = (0.0, *(10.0**-n for n in range(9, 1, -1)))


# of problems whose fields were asked; a field that somebody wrote is asked once, under limits and in another process
_COUNTED: WeakKeyDictionary[Problem, float] = WeakKeyDictionary()


def remember(problem: Problem, count: float) -> None:
    """That a problem has so many time constants, as `counted` found."""
    _COUNTED[problem] = count


def time_constants(problem: Problem) -> float:
    """What is remembered of a problem; 0 of one that nobody has counted."""
    return _COUNTED.get(problem, 0.0)


def counted(problem: Problem) -> float:
    """How many time constants of the fastest decay are in the window of a problem.

    max |Re λ(∂F/∂y)| · |ts[-1] − ts[0]| over eigenvalues λ of negative real part, at the start and after each of a
    few implicit steps from there, each ten times as long as the one before.

    Args:
        problem: What is asked about.

    Returns:
        The number; 0 where rows are too large to say, or nothing decays.
    """
    d, window = problem.field.state, float(problem.ts[-1] - problem.ts[0])
    system = Variational(problem.field, problem.theta, problem.batch, 0)
    if not is_small(system):
        return 0.0
    t, w, fastest = problem.ts[:1].copy(), problem.y0.reshape(1, -1), 0.0
    try:
        with np.errstate(all="ignore"):
            for share in SHARES:
                w = w + np.nan_to_num(reach(system, t, w, np.array([share * window])))
                t = t + share * window
                first = system.sloped(t, w.reshape(1, *problem.y0.shape)).first
                assert first is not None
                values = np.linalg.eigvals(np.nan_to_num(first[..., 1 : 1 + d])) * np.sign(window)
                fastest = max(fastest, float(np.max(-values.real)))
    except Exception:  # a field that cannot be asked is refused by validation, in words
        return 0.0
    return fastest * abs(window)


def pace(problem: Problem) -> float:
    """How many times as many steps explicit solvers take as for a field that is not stiff, at least.

    Args:
        problem: What is asked about. Those with a formula of their own were measured as they are.

    Returns:
        1 where it is not stiff.
    """
    if problem.independent or too_stiff(problem):  # then no solver is explicit
        return 1.0
    return max(1.0, time_constants(problem) / PLAIN)


def too_stiff(problem: Problem) -> bool:
    """Whether explicit steps are too many for a verdict within minutes.

    Args:
        problem: What is asked about.
    """
    return time_constants(problem) > TOO_MANY


def is_stiff(problem: Problem) -> bool:
    """Whether stability and not accuracy chooses explicit steps.

    Args:
        problem: What is asked about; one with a formula of its own is not looked at.
    """
    return not problem.independent and time_constants(problem) > PLAIN
