"""What is seen of a field of one's own before a claim is asked: whether it is stiff, bends often, and what it costs."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import scipy.integrate  # pyright: ignore[reportMissingTypeStubs]
from odecheck_reference import Problem
from odecheck_reference.bends import is_bent
from odecheck_reference.bounded import Array
from odecheck_reference.fields import pull
from odecheck_reference.layered import is_small, reach
from odecheck_reference.variational import Variational

from odecheck.field_values import in_time_alone, refusal_of

# explicit steps are as long as about three time constants; so many of these in a window are what a run costs anyway
PLAIN = 200.0
# beyond so many an explicit solve takes ten seconds and more, and a verdict several of them at tighter tolerances
TOO_MANY = 1e4
# fixed steps in the window of a field that bends: a rung of them leaves some thousandths of a derivative
STEPS = 64
# evaluations of the look at the window to one fixed step: three steps within each of its own, which takes six
A_STEP = 2.0
# evaluations of an explicit solve that cost as much as one of those steps: nothing is followed there to ten digits
OF_STEPS = 0.6
# a look at the whole window: to this tolerance, in at most so many evaluations and processor seconds
ROUGH, MOST, SECONDS = 1e-6, 2_000, 3.0
# `Problem.source` of one's own field; of one that is not in float64 with the name of its dtype behind it
OWN, GIVEN_IN = "an example state", "an example state, and a field that was given in "
# shares of the window that implicit steps from the start are long: the fastest rate may not be there at the start
SHARES = (0.0, *(10.0**-n for n in range(9, 1, -1)))


@dataclass(frozen=True)
class Sight:
    """What was seen of a problem.

    Attributes:
        constants: How many time constants of the fastest decay are in its window.
        bent: Whether its field bends again and again along its solution, as wide networks of relu do.
        calls: Evaluations of an explicit solve; where it was left, as many as the whole window would take at that pace.
        seconds: Of a processor, of one evaluation with its gradient in state and parameters; 0 where it cannot be said.
        left: The time at which that solve was left, its evaluations being used up; None where it arrived.
    """

    constants: float = 0.0
    bent: bool = False
    calls: float = 0.0
    seconds: float = 0.0
    left: float | None = None


RK45: Any = scipy.integrate.RK45
NOTHING = Sight()
# of problems whose fields were asked; a field that somebody wrote is asked once, under limits and in another process
_SEEN: WeakKeyDictionary[Problem, Sight] = WeakKeyDictionary()


def given_in(problem: Problem) -> str:
    """The dtype in which a field of one's own was given, where its numbers are more rounded than those of its copy.

    Args:
        problem: What is asked about.

    Returns:
        "float32", "float16" or "bfloat16"; empty of all others.
    """
    return problem.source.removeprefix(GIVEN_IN) if problem.source.startswith(GIVEN_IN) else ""


def remember(problem: Problem, sight: Sight) -> None:
    """What `seen` found of a problem."""
    _SEEN[problem] = sight


def remembered(problem: Problem) -> Sight:
    """What is remembered of a problem; nothing of one that nobody has looked at."""
    return _SEEN.get(problem, NOTHING)


def seen(problem: Problem) -> Sight:
    """What is seen of a problem.

    Args:
        problem: What is asked about.

    Returns:
        It; nothing of a field that cannot be asked, which validation refuses in words.
    """
    try:
        calls, left = _along(problem)
        return Sight(counted(problem), is_bent(problem), calls, _evaluation(problem), left)
    except Exception:
        return NOTHING


def _along(problem: Problem) -> tuple[float, float | None]:
    """`Sight.calls` and `Sight.left`."""
    asked, shape, (first, *_, last) = 0, problem.y0.shape, map(float, problem.ts)
    begun = time.process_time()

    def rate(t: float, w: Array) -> Array:
        nonlocal asked
        if asked >= MOST or time.process_time() - begun > SECONDS:  # within a step too: one from a NaN never ends
            raise _UsedUp
        asked += 1
        return np.asarray(problem.field.jet(t, w.reshape(shape), problem.theta, 0).value).reshape(-1)

    size, left = float(np.max(np.abs(problem.y0))) or 1.0, first
    with np.errstate(all="ignore"), contextlib.suppress(_UsedUp):
        solve = RK45(rate, first, problem.y0.reshape(-1), last, rtol=ROUGH, atol=ROUGH * size)
        while solve.status == "running":
            solve.step()
            left = float(solve.t)
        if solve.status == "finished":
            return float(asked), None
    # of one that does not leave its start nothing is known
    return (asked * (last - first) / (left - first), left) if left != first else (0.0, None)


class _UsedUp(Exception):
    """The evaluations or the seconds of a look are used up."""


def _evaluation(problem: Problem) -> float:
    """`Sight.seconds`."""
    field, begun = problem.field, list[float]()
    for _ in range(4):  # three, after one that prepares
        begun.append(time.process_time())
        pull(field, float(problem.ts[0]), problem.y0, problem.theta, np.ones_like(problem.y0))
    return float(np.min(np.diff(begun)))


# what the values of a problem's field say against it: asked once for all its subjects and all parts of their claims
_AGAINST: WeakKeyDictionary[Problem, tuple[str, str, str] | None] = WeakKeyDictionary()


def said_by_values(problem: Problem, knots: Array) -> tuple[str, str, str] | None:
    """What the values of a problem's field say against it, as `refusal_of`; asked once in a process.

    Args:
        problem: What is asked about.
        knots: (times, batch, state), states at its times.

    Returns:
        What was seen, its usual cause and what to type, or None.
    """
    if problem not in _AGAINST:
        _AGAINST[problem] = refusal_of(problem.field, problem.theta, problem.ts, knots)
    return _AGAINST[problem]


def cut_in_time(problem: Problem) -> bool:
    """Whether the derivative in time alone of a problem's field was seen not to be that of its values.

    Args:
        problem: One that was validated in this process, or nothing is known of it.
    """
    reason = _AGAINST.get(problem)
    return reason is not None and in_time_alone(reason)


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


def load(problem: Problem) -> float:
    """What an explicit solve of a problem takes, in processor seconds, were each evaluation one with its gradient.

    Args:
        problem: What is asked about. Those with a formula of their own were measured as they are.

    Returns:
        Seconds; of a field that bends those of fixed steps, which are taken of it; 0 where nothing was seen.
    """
    sight = remembered(problem)
    steps = OF_STEPS * _steps(sight) if sight.bent else PLAIN if too_stiff(problem) else sight.calls
    return sight.seconds * min(steps, 1e6)


def too_stiff(problem: Problem) -> bool:
    """Whether explicit steps are too many for a verdict within minutes.

    Args:
        problem: What is asked about.
    """
    return remembered(problem).constants > TOO_MANY


def is_stiff(problem: Problem) -> bool:
    """Whether stability and not accuracy chooses explicit steps.

    Args:
        problem: What is asked about; one with a formula of its own is not looked at.
    """
    return not problem.independent and remembered(problem).constants > PLAIN


def step_of(problem: Problem) -> float:
    """A step at which explicit steps are stable and leave some thousandths, of a field that bends again and again.

    Steps of six evaluations that leave a millionth of a smooth field are twice as long.

    Args:
        problem: What is asked about.

    Returns:
        The step, in units of time; 0 of a field that does not bend so.
    """
    sight = remembered(problem)
    window = abs(float(problem.ts[-1] - problem.ts[0]))
    return window / _steps(sight) if sight.bent else 0.0


def _steps(sight: Sight) -> int:
    """How many steps a window has of a field that bends."""
    return max(STEPS, math.ceil(sight.constants), math.ceil(min(sight.calls, MOST) / A_STEP))
