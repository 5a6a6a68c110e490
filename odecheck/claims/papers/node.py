"""First-order adjoint identities of any neural ODE (claims NODE-1 to NODE-5).

y' = F(t, y, theta), L = Φ(y(ts)) + ∫ ℓ(t, y, theta) dt, a(t) = dL/dy(t). All of them speak of the derivative of the
*flow*: of a backpropagated solver they ask that its limit of small steps be that derivative.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from odecheck_reference import Bounded, Problem, adjoint_states, gradient, solution, transition, volume
from odecheck_reference.bounded import Array
from odecheck_reference.first_order import FirstOrder, first_order
from odecheck_reference.flat import is_large
from odecheck_reference.looked import kept
from odecheck_reference.losses import Linear
from odecheck_reference.sensitivity import with_cost_as_state

from odecheck.claim import claim, family
from odecheck.claims.shared.families import ANY_FIELD
from odecheck.claims.shared.promises import gradient_at
from odecheck.errors import NotApplicable
from odecheck.fields.callback import CallbackField
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import values as wrong_values
from odecheck.refinement import Rung, ladder
from odecheck.subject import SHIPPED, Subject

from .values import OfField

WRONG_ADJOINTS = (
    wrong.TRANSPOSED_JACOBIAN,
    wrong.FORGOTTEN_OBSERVATION,
    wrong.OFF_BY_ONE,
    wrong.WRONG_INTERVAL,
)
# gradients that a determinant may take of a large field
MOST_COLUMNS = 4
PONTRYAGIN = "Pontryagin et al. 1962; Chen et al., Neural Ordinary Differential Equations, arXiv:1806.07366"
# in the copies of a batch that one solve of a determinant takes along: a small field's cost is that of its calls
NUMBERS_AT_ONCE = 4096
# the gradient of the problem on three rungs, which a large field takes minutes for
GRADIENT = "gradient of the problem"
NODE = family(
    "NODE",
    title="Neural ODEs: the first derivative (arXiv:1806.07366)",
    order=20,
    drawn=ANY_FIELD,
    page="mathematics/first-order.md",
)


@claim(
    "NODE-1",
    source=f"{PONTRYAGIN}: the adjoint equation",
    without_time=True,
    shares=GRADIENT,
    resolution=1e-5,
    mutants=[wrong.scaled("y0", 1.0002), wrong.scaled("y0", -1.0), *WRONG_ADJOINTS, *wrong.ERRATIC],
)
def adjoint_equation(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """a(t) = dL/dy(t) solves −a' = F_yᵀ a + ℓ_y with a(T) = Φ_y and a jump of Φ_y at every observation.

    The subject gives dL/dy at each observed time by starting there; the reference solves the adjoint equation.
    """
    states = solution(problem).value
    parts = [problem.restarted(i, states[i]) if i else problem for i in range(len(problem.ts) - 1)]

    def observe(s: Subject) -> Array:
        return np.stack([s.gradient(part).y0 for part in parts])

    truth = adjoint_states(problem)
    kept = {name: term[:-1] for name, term in truth.budget.items()}

    # the subject starts from the reference's states, which are themselves known only up to their bar
    def promised(rung: Rung) -> float:
        return sum(gradient_at(rung, part) for part in parts)

    return ladder(subject, observe, promised=promised), Bounded(truth.value[:-1], kept)


@claim(
    "NODE-2",
    source=f"{PONTRYAGIN}: the gradient in the parameters",
    without_time=True,
    shares=GRADIENT,
    resolution=1e-5,
    mutants=[wrong.scaled("theta", 1.0002), wrong.scaled("theta", -1.0), *WRONG_ADJOINTS, *wrong.ERRATIC],
)
def parameter_gradient(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dtheta = ∫ (F_thetaᵀ a + ℓ_theta) dt; the reference has it from forward sensitivities instead.

    Of a large field it has it from an adjoint of its own, in two families of methods; all components are compared.
    """
    if problem.field.params == 0:
        raise NotApplicable("the field has no parameters")
    promised = partial(gradient_at, problem=problem)
    return ladder(subject, lambda s: s.gradient(problem).theta, promised=promised), gradient(problem).theta


@claim(
    "NODE-3",
    source=f"{PONTRYAGIN}: the gradient in the times",
    of_libraries=True,
    shares=GRADIENT,
    resolution=1e-5,
    mutants=[
        wrong.scaled("ts", 1.0002),
        wrong.FORGOTTEN_START_TIME,
        wrong.FORGOTTEN_END_TIME,
        wrong.FLIPPED_START_TIME,
        wrong.FORGOTTEN_OBSERVATION,
        wrong.WRONG_INTERVAL,
        wrong.ERRATIC[0],
    ],
)
def time_gradient(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """dL/dT = Φ_yᵀF(T) + ℓ(T), dL/dt0 = −aᵀF(t0) − ℓ(t0), and dL/dt_i = Φ_{y_i}ᵀF(t_i) at interior observations."""
    return ladder(subject, lambda s: s.gradient(problem).ts), gradient(problem).ts


@claim(
    "NODE-4",
    source="bilinear invariant of an adjoint and a tangent",
    without_time=True,
    resolution=1e-5,
    mutants=[wrong.scaled("y0", 1.0002), wrong.scaled("y0", -1.0), wrong.TRANSPOSED_JACOBIAN, wrong.WRONG_INTERVAL],
)
def adjoint_times_tangent(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """aᵀδ is the same at all times, where δ' = F_y δ is the tangent and a the adjoint of a loss at the last time only.

    Adjoint and tangent come from the subject; the one value that they must have at all times is Φ_yᵀ dy(T)/dy0 δ(t0).
    """
    rng = np.random.default_rng(0)
    direction, slope = rng.standard_normal(problem.y0.shape), rng.standard_normal(problem.y0.shape)
    weight = np.zeros(problem.observations)
    weight[-1] = slope
    ended = problem.with_(loss=Linear(weight), running=None)

    def observe(s: Subject) -> Array:
        states, tangent = s.solution(ended), s.tangent(ended, direction)
        last = len(ended.ts) - 1
        adjoints = [s.gradient(ended.restarted(i, states[i]) if i else ended).y0 for i in range(last)]
        return np.stack([np.sum(a * tangent[i], axis=1) for i, a in enumerate([*adjoints, slope])])

    times = (len(ended.ts), 1)
    if is_large(ended):
        pulled = adjoint_states(ended)
        value = np.sum(pulled.value[0] * direction, axis=1)
        radius = np.sum(pulled.radius[0] * np.abs(direction), axis=1)
        size = float(np.max(np.abs(pulled.value[0] * direction)))
        truth = Bounded(np.tile(value, times), {"adjoint": np.tile(radius, times)}, looked_at=pulled.looked_at)
        return ladder(subject, observe, scale=size), truth
    matrix = transition(ended)
    value = np.einsum("bi,bij,bj->b", slope, matrix.value[-1], direction)
    radius = np.einsum("bi,bij,bj->b", np.abs(slope), matrix.radius[-1], np.abs(direction))
    times = (len(ended.ts), 1)
    scale = float(
        np.max(np.abs(slope)[:, :, None] * np.max(np.abs(matrix.value), axis=0) * np.abs(direction)[:, None, :])
    )
    return (
        ladder(subject, observe, scale=scale),
        Bounded(np.tile(value, times), {"transition matrix": np.tile(radius, times)}),
    )


@claim(
    "NODE-5",
    source="Liouville's formula; instantaneous change of variables: Chen et al., arXiv:1806.07366",
    without_time=True,
    resolution=1e-4,
    mutants=[wrong.scaled("y0", 1.0002), wrong.SCALED_FIELD, wrong.WRONG_INTERVAL],
)
def volume_formula(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """det dy(T)/dy(t0) = exp ∫ tr F_y dt for every row: the change of a density along a normalizing flow."""
    d = problem.field.state
    if is_large(problem) and d > MOST_COLUMNS:
        raise NotApplicable(
            f"the determinant takes {d} gradients of {problem.field.params:,} parameters at each rung; of fields as "
            f"large as this one it is asked up to {MOST_COLUMNS} components of a row"
        )
    together = _copies(problem)

    def observe(s: Subject) -> Array:
        rows = [s.gradient(copies).y0.reshape(-1, len(problem.y0), d) for copies in together]
        return np.linalg.det(np.swapaxes(np.concatenate(rows), 0, 1))

    truth = volume(problem)
    # what decays from one is known to the tolerances of one
    return ladder(subject, observe, scale=max(1.0, float(np.max(np.abs(truth.value))))), truth


def _copies(problem: Problem) -> list[Problem]:
    """The rows of dy(T)/dy(t0), as gradients: copies of the batch, of which each asks for one component at the end.

    As many copies are one problem as make NUMBERS_AT_ONCE numbers at the most: rows are apart from each other, and a
    solve costs a small field much the same for any number of them.
    """
    batch, d = problem.y0.shape
    few = max(1, NUMBERS_AT_ONCE // problem.y0.size)
    found = list[Problem]()
    for asked in (np.arange(i, min(i + few, d)) for i in range(0, d, few)):
        weight = np.zeros((len(problem.ts), len(asked), batch, d))
        weight[-1, np.arange(len(asked)), :, asked] = 1.0
        loss = Linear(weight.reshape(len(problem.ts), -1, d))
        found.append(problem.with_(y0=np.tile(problem.y0, (len(asked), 1)), loss=loss, running=None))
    return found


@claim(
    "NODE-6",
    source=f"{PONTRYAGIN}: two ways to one derivative",
    resolution=1e-7,
    mutants=[
        wrong.SCALED_FIELD,
        wrong.TRANSPOSED_JACOBIAN,
        wrong.DETACHED_STATE,
        wrong.FROZEN_TIME,
        wrong_values.DETACHED_PARAMETERS,
    ],
)
def adjoint_equals_sensitivities(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """An adjoint with a quadrature, along the subject's own field, gives what forward sensitivities give.

    Observed: dL/dy0, dL/dtheta and dL/dts by reverse mode through the subject's module, in the way that fields with
    many parameters are followed. Expected: the reference's variational equations. Each relative to its own size. Not
    asked of fields that are too large for the second way.
    """
    if is_large(problem):
        raise NotApplicable("the field has too many parameters for forward sensitivities: there is one way only")
    known = subject.field is SHIPPED  # made of the problem's own numbers at each call
    found = _by_reverse_mode(OfField(subject), problem) if known else _reversed(subject, problem)
    truth = gradient(problem)
    d = problem.field.state
    observed = (_columns(found.y0, d), found.theta, found.ts)
    expected = (truth.y0, truth.theta, truth.ts)
    sizes = [float(np.max(np.abs(part.value), initial=0.0)) or 1.0 for part in expected]
    return _joined(observed, sizes), _joined(expected, sizes)


@kept(64)
def _by_reverse_mode(of: OfField, problem: Problem) -> FirstOrder:
    return _reversed(of.subject, problem)


def _reversed(subject: Subject, problem: Problem) -> FirstOrder:
    own = problem.with_(field=CallbackField(subject.module(problem), (problem.field.state,)))
    return first_order(with_cost_as_state(own))


def _columns(found: Bounded, d: int) -> Bounded:
    return Bounded(found.value[:, :d], {name: term[:, :d] for name, term in found.budget.items()})


def _joined(parts: tuple[Bounded, ...], sizes: list[float]) -> Bounded:
    """Parts one after the other, each in units of its own size."""
    value = np.concatenate([part.value.ravel() / size for part, size in zip(parts, sizes, strict=True)])
    radius = np.concatenate([part.radius.ravel() / size for part, size in zip(parts, sizes, strict=True)])
    return Bounded(value, {"own bar": radius})
