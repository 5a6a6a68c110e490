"""What any solver of an initial value problem promises, before anything is differentiated.

How its error follows its step or its tolerance is asked in `convergence`.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from odecheck_reference import Bounded, Problem, solution, transition
from odecheck_reference.bounded import Array
from odecheck_reference.fields import pull
from odecheck_reference.flat import is_large
from odecheck_reference.losses import Linear

from odecheck.claim import claim
from odecheck.claims.shared.promises import states_at
from odecheck.errors import NotApplicable
from odecheck.fields.callback import CallbackField
from odecheck.mutants import derivatives as wrong
from odecheck.refinement import ladder
from odecheck.subject import Subject, tensor

EPS = float(np.finfo(np.float64).eps)
# by which an error grows on the way back: beyond, an error of rounding is larger than the start
NO_RETURN = 1e15


def silent(problem: Problem, times: int, batch: int | None = None) -> Linear:
    """A loss that looks at nothing, for questions about the solution alone."""
    return Linear(np.zeros((times, batch or problem.batch, problem.field.state)))


@claim(
    "SOL-1",
    source="the field's own definition",
    resolution=1e-9,
    mutants=[
        wrong.SCALED_FIELD,
        wrong.FLIPPED_FIELD,
        wrong.TRANSPOSED_JACOBIAN,
        wrong.FROZEN_TIME,
        wrong.FLOAT32_FIELD,
    ],
)
def twins_agree(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The subject's field and its first derivatives are those of the reference's own formula.

    Compared at the observed states of the reference: F, F_t, F_y and F_theta, each relative to its own size; of a large
    field in random cotangents.
    """
    if not problem.independent:
        raise NotApplicable("the problem's field is the subject's own, called back: there is no second formula")
    states = solution(problem).value
    module = subject.module(problem)
    if is_large(problem):
        return _pulled_alike(module, problem, states)
    jets = [problem.field.jet(t, y, problem.theta, 1) for t, y in zip(problem.ts, states, strict=True)]
    observed = np.stack([module_jet(module, float(t), y) for t, y in zip(problem.ts, states, strict=True)])
    expected = np.stack([np.concatenate([j.value[..., None], j.first], axis=-1) for j in jets if j.first is not None])
    d = problem.field.state
    blocks = (slice(0, 1), slice(1, 2), slice(2, 2 + d), slice(2 + d, None))
    size = np.ones(expected.shape[-1])
    for block in blocks:
        size[block] = max(np.max(np.abs(expected[..., block]), initial=0.0), np.max(np.abs(expected[..., 0])), 1e-300)
    # a field is a few dozen rounded operations, each at the size of what it adds up
    return Bounded(observed / size), Bounded(expected / size, {"roundoff": 1e3 * EPS})


def _pulled_alike(module: torch.nn.Module, problem: Problem, states: Array) -> tuple[Bounded, Bounded]:
    """The same in three random cotangents at each time: [F, aᵀF_t, aᵀF_y, aᵀF_theta], each relative to its own size.

    A derivative that is off in one block is off in these by as much, but where the errors of its rows cancel.
    """
    rng, observed, expected = np.random.default_rng(0), list[Array](), list[Array]()
    own = CallbackField(module, (problem.field.state,))
    for t, y in zip(problem.ts, states, strict=True):
        for _ in range(3):
            a = rng.standard_normal(y.shape)
            pairs = [pull(field, float(t), y, problem.theta, a) for field in (own, problem.field)]
            parts = [[p.value.ravel(), np.array([p.t.sum()]), p.y.ravel(), p.theta] for p in pairs]
            floor = float(np.max(np.abs(parts[1][0]))) or 1.0
            sizes = [max(float(np.max(np.abs(x), initial=0.0)), floor) for x in parts[1]]
            for found, kept in zip(parts, (observed, expected), strict=True):
                kept.append(np.concatenate([x / size for x, size in zip(found, sizes, strict=True)]))
    return Bounded(np.stack(observed)), Bounded(np.stack(expected), {"roundoff": 1e3 * EPS})


def module_jet(module: torch.nn.Module, t: float, y: Array) -> Array:
    """[F, F_t, F_y, F_theta] of a module at one time: (batch, state, 1 + 1 + state + params), by reverse mode."""
    time = torch.tensor(t, dtype=torch.float64, requires_grad=True)
    state = tensor(y).requires_grad_()
    params = [p for p in module.parameters() if p.requires_grad]
    value = module(time, state)
    result = np.zeros((*y.shape, 2 + y.shape[1] + sum(p.numel() for p in params)))
    result[..., 0] = value.detach().numpy()
    for row, component in np.ndindex(*y.shape):
        inputs = [time, state, *params]
        got = (
            torch.autograd.grad(value[row, component], inputs, retain_graph=True, allow_unused=True)
            if value.requires_grad
            else [None] * len(inputs)
        )
        g = [torch.zeros_like(x) if d is None else d for x, d in zip(inputs, got, strict=True)]
        g[1] = g[1][row]
        result[row, component, 1:] = torch.cat([x.reshape(-1) for x in g]).numpy()
    return result


@claim(
    "SOL-2",
    source="definition of the flow",
    of_libraries=True,
    without_time=True,
    resolution=1e-5,
    mutants=[
        wrong.SCALED_SOLUTION,
        wrong.SCALED_FIELD,
        wrong.WRONG_INTERVAL,
        wrong.OFF_BY_ONE,
        wrong.FROZEN_TIME,
        *wrong.ERRATIC,
    ],
)
def flow_is_met(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """In the limit of small tolerances or steps the observed states are those of the exact flow."""
    promised = partial(states_at, problem=problem)
    return ladder(subject, lambda s: s.solution(problem), promised=promised), solution(problem)


@claim(
    "SOL-6",
    source="uniqueness of solutions",
    of_libraries=True,
    without_time=True,
    resolution=1e-4,
    mutants=[wrong.BACKWARDS_SLOWER, wrong.SCALED_SOLUTION],
)
def there_and_back(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Solving forwards and then backwards from where one arrived returns to the start."""
    whole = problem.with_(ts=problem.ts[[0, -1]], loss=silent(problem, 2), running=None)
    back = 1 / np.maximum(np.min(np.linalg.svd(transition(whole).value[-1], compute_uv=False)), 1e-300)
    if back > NO_RETURN:
        raise NotApplicable(f"the way back makes an error {back:.0e} times as large: nothing returns in float64")

    def observe(s: Subject) -> Array:
        arrived = s.solution(whole)[-1]
        return s.solution(whole.with_(ts=whole.ts[::-1], y0=arrived))[-1]

    return ladder(subject, observe), Bounded(problem.y0)


@claim(
    "SOL-7",
    source="the flow is a group",
    of_libraries=True,
    without_time=True,
    resolution=1e-4,
    mutants=[wrong.LOCAL_TIME, wrong.WRONG_INTERVAL],
)
def splitting_changes_nothing(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Solving over an interval at once or in two pieces gives the same end."""
    start, end = problem.ts[0], problem.ts[-1]
    whole = problem.with_(ts=np.array([start, end]), loss=silent(problem, 2))
    middle = start + 0.4 * (end - start)

    def pieces(s: Subject) -> Array:
        half = s.solution(whole.with_(ts=np.array([start, middle])))[-1]
        return s.solution(whole.with_(ts=np.array([middle, end]), y0=half))[-1]

    size = float(np.max(np.abs(solution(whole).value)))  # along the way: an end that has decayed is known to no less
    return ladder(subject, pieces, scale=size), ladder(subject, lambda s: s.solution(whole)[-1], scale=size)


@claim(
    "SOL-8",
    source="rows of a batch are separate problems",
    of_libraries=True,
    without_time=True,
    resolution=1e-4,
    mutants=[wrong.MIXED_ROWS],
)
def batch_equals_rows(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """A batch is solved as each of its rows alone."""
    if problem.batch < 2:
        raise NotApplicable("the batch has one row")
    unseen = silent(problem, len(problem.ts), batch=1)
    alone = [problem.with_(y0=problem.y0[i : i + 1], loss=unseen, running=None) for i in range(problem.batch)]
    rows = ladder(subject, lambda s: np.concatenate([s.solution(p) for p in alone], axis=1))
    return rows, ladder(subject, lambda s: s.solution(problem))


@claim(
    "SOL-9",
    source="a solver is a function of its arguments",
    of_libraries=True,
    without_time=True,
    resolution=1e-12,
    mutants=[wrong.RANDOM_FIELD],
)
def deterministic(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Solving twice gives the same, bit for bit."""
    return Bounded(subject.solution_again(problem, 2)), Bounded(subject.solution_again(problem, 1))
