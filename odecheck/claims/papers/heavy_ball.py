"""Identities of heavy-ball neural ODEs (claims HB-1 to HB-8 and HB-10): h' = s(m), m' = −γ m + f(t, h) − ξ h.

The subject gives dL/d(h, m)(t) by starting at t, for every loss y_k(T); the reference solves the equation that is
stated about it. So an equation for an adjoint is tested without a numerical derivative in time. J = ∂f/∂h along the
trajectory, a = dL/d(h, m). A sentence that is false read literally is stated so, next to the one that holds.
"""

from __future__ import annotations

import numpy as np
from odecheck_reference import Bounded, Problem
from odecheck_reference import heavy_ball as exact
from odecheck_reference.bounded import Array

from odecheck.claim import claim, family
from odecheck.claims.shared.adjoint_states import adjoint_states, early, unit_losses
from odecheck.claims.shared.conditions import (
    COMMUTING,
    CONSTANT_DAMPING,
    CONSTANT_JACOBIAN,
    SYMMETRIC_JACOBIAN,
    clearly_false,
    commuting,
    constant_damping,
    constant_jacobian,
    heavy_ball,
    linearised,
)
from odecheck.errors import NotApplicable
from odecheck.judge import Verdict
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import models as models
from odecheck.refinement import ROUNDOFF, ladder
from odecheck.subject import Subject

from .solution import module_jet

HB = family(
    "HB",
    title="Heavy Ball Neural Ordinary Differential Equations (arXiv:2110.04840)",
    order=40,
    page="mathematics/heavy-ball.md",
    drawn=("*heavy ball*",),
    alone="states the paper's own identity of heavy-ball models, a second reference beside the sensitivities",
)
PAPER = "arXiv:2110.04840, heavy-ball neural ODEs"
ADJOINT_MUTANTS = [models.GAMMA_DOUBLED, models.GAMMA_FLIPPED, models.MOMENTUM_SIGN, models.TRANSPOSED_FORCE]


def _but_last(truth: Bounded) -> Bounded:
    return Bounded(truth.value[:-1], {name: term[:-1] for name, term in truth.budget.items()})


@claim(
    "HB-1",
    source=f"{PAPER}: from second to first order",
    resolution=1e-5,
    mutants=[models.GAMMA_DOUBLED, models.GAMMA_FLIPPED, models.GAMMA_ON_POSITION, models.MOMENTUM_SIGN],
)
def second_order_equation(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """h' = m, m' = −γ m + f is the equation h'' + γ h' = f, with m = h'.

    The reference solves the latter with an integrating factor, h' = e^{−∫γ} u and u' = e^{∫γ} f: no momentum occurs.
    """
    heavy_ball(problem, plain=True)
    return ladder(subject, lambda s: s.solution(problem)), exact.by_integrating_factor(problem)


@claim(
    "HB-2",
    source=f"{PAPER}: the adjoint of the first-order system",
    resolution=1e-5,
    mutants=[wrong.scaled("y0", 1.0002), *ADJOINT_MUTANTS],
)
def adjoint_of_the_system(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """a_h' = −Jᵀ a_m and a_m' = −a_h + γ a_m."""
    heavy_ball(problem, plain=True)
    return ladder(subject, lambda s: adjoint_states(s, problem)), _but_last(exact.adjoint(problem))


def _true_adjoint(_: Subject, problem: Problem) -> Bounded:
    """a_h' = −Jᵀ a_m, a_m' = −a_h + γ a_m (HB-2): the literal equation leaves γ' a_m out, see HB-10."""
    return _but_last(exact.adjoint(problem))


@claim(
    "HB-3",
    source=f"{PAPER}: the adjoint equation of an HBNODE is an HBNODE",
    resolution=1e-5,
    when=CONSTANT_DAMPING,
    predicted=_true_adjoint,
    mutants=ADJOINT_MUTANTS,
)
def momentum_adjoint(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """a_m'' − γ a_m' = Jᵀ a_m, in reversed time a heavy ball with the same γ; and a_h = γ a_m − a_m'."""
    heavy_ball(problem, plain=True)
    expected = exact.momentum_adjoint(problem, with_rate_of_damping=False)
    clearly_false(expected.value, exact.adjoint(problem).value, CONSTANT_DAMPING, problem)
    return ladder(subject, lambda s: adjoint_states(s, problem)), _but_last(expected)


def _true_position_adjoint(subject: Subject, problem: Problem) -> Bounded:
    """a_h itself: the literal equation leaves out −(dJ/dt)ᵀ a_m, see HB-4.1."""
    d, truth = heavy_ball(problem, plain=True).d, _true_adjoint(subject, problem)
    return Bounded(truth.value[..., :d], {name: term[..., :d] for name, term in truth.budget.items()})


@claim(
    "HB-4",
    source=f"{PAPER}: the adjoint state satisfies an HBNODE",
    resolution=1e-5,
    expect=Verdict.REFUTED,
    when=CONSTANT_JACOBIAN,
    predicted=_true_position_adjoint,
    mutants=ADJOINT_MUTANTS,
)
def position_adjoint_literally(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Read literally as a statement about ∂L/∂h: a_h'' − γ a_h' = Jᵀ a_h."""
    p = heavy_ball(problem, plain=True)
    literal, _ = exact.position_adjoint_read_literally(problem)
    clearly_false(literal.value, exact.adjoint(problem).value[..., : p.d], CONSTANT_JACOBIAN, problem)
    return ladder(subject, lambda s: adjoint_states(s, problem)[..., : p.d]), _but_last(literal)


@claim(
    "HB-4.1",
    source=f"{PAPER}; the residual is derived here",
    resolution=1e-2,
    mutants=[models.GAMMA_DOUBLED, models.TRANSPOSED_FORCE, wrong.scaled("y0", 1.01)],
)
def position_adjoint_residual(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """a_h'' − γ a_h' − Jᵀ a_h = −(dJ/dt)ᵀ a_m: what HB-4 leaves out.

    Compared is what this residual makes of the literal solution: observed minus literal a_h, against the prediction.
    """
    p = heavy_ball(problem, plain=True)
    if constant_jacobian(problem):
        raise NotApplicable("J is constant along the trajectory: the residual is zero, HB-4 itself holds")
    literal, defect = exact.position_adjoint_read_literally(problem)
    size = float(np.max(np.abs(literal.value)))
    observed = ladder(subject, lambda s: adjoint_states(s, problem)[..., : p.d] - literal.value[:-1], scale=size)
    return Bounded(observed.value, {**observed.budget, "literal equation": literal.radius[:-1]}), _but_last(defect)


@claim(
    "HB-5",
    source=f"{PAPER}: spectrum of the linearised system",
    resolution=1e-9,
    scale=1.0,
    mutants=[models.GAMMA_DOUBLED, models.GAMMA_FLIPPED, models.GAMMA_ON_POSITION],
)
def eigenvalues_pair(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The eigenvalues of M = [[0, I], [J, −γ I]] pair up with sum −γ, and those of ∫ M dt with sum −∫ γ dt.

    A spectrum is symmetric about −γ/2 exactly when all odd powers of M + γ/2 have trace zero, up to the power 2d − 1.
    The integral is that of the Gauss rule, with which M and γ are integrated alike. Matrices have norm one.
    """
    p = heavy_ball(problem)
    nodes, weights = np.polynomial.legendre.leggauss(6)
    start, end = problem.ts[0], problem.ts[-1]
    times = start + (end - start) * np.concatenate([[-1.0], nodes, [1.0]]) / 2 + (end - start) / 2
    states = subject.solution(exact.at_times(problem, times))[1:-1]
    module, size = subject.module(problem), problem.field.state
    m = np.stack([module_jet(module, float(t), y)[..., 2 : 2 + size] for t, y in zip(times[1:-1], states, strict=True)])
    gamma = np.array([p.gamma(t)[0] for t in times[1:-1]])
    centred = m + gamma[:, None, None, None] / 2 * np.eye(size)
    every = np.concatenate([centred, np.tensordot(weights, centred, axes=1)[None]])
    every = every / np.linalg.norm(every, axis=(-2, -1), keepdims=True)
    odd = [np.trace(np.linalg.matrix_power(every, k), axis1=-2, axis2=-1) for k in range(1, size, 2)]
    return Bounded(np.stack(odd)), Bounded(np.zeros((len(odd), *every.shape[:2])), {"roundoff": ROUNDOFF})


def _true_transition(_: Subject, problem: Problem) -> Bounded:
    """∂y(T)/∂y0, the ordered exponential: the plain one leaves Magnus' commutators out, see HB-6.2."""
    adjoint = exact.adjoint(problem)
    return Bounded(adjoint.value[0], {name: term[0] for name, term in adjoint.budget.items()})


@claim(
    "HB-6",
    source=f"{PAPER}: gradients over long times, by an exponential of an integral",
    resolution=1e-5,
    expect=Verdict.REFUTED,
    when=COMMUTING,
    predicted=_true_transition,
    mutants=[wrong.scaled("y0", 1.0002), *ADJOINT_MUTANTS],
)
def plain_exponential(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Read literally with a plain exponential: a(t0) = exp(∫ M dt)ᵀ a(T)."""
    heavy_ball(problem)
    plain, *_ = exact.magnus(problem)
    clearly_false(plain.value, exact.adjoint(problem).value[0], COMMUTING, problem)
    return ladder(subject, lambda s: _transition(s, problem)), plain


def _transition(subject: Subject, problem: Problem) -> Array:
    """dy(T)/dy0, (batch, state, state)."""
    return subject.gradient(unit_losses(problem)[0]).y0.reshape(problem.batch, *(problem.field.state,) * 2)


@claim(
    "HB-6.1",
    source=f"{PAPER}; the ordered exponential: Magnus 1954",
    resolution=1e-5,
    mutants=[wrong.scaled("y0", 1.0002), *ADJOINT_MUTANTS],
)
def ordered_exponential(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """a(t0) = (T exp ∫ M dt)ᵀ a(T) with the time-ordered exponential, the limit of products of exponentials."""
    heavy_ball(problem)
    return ladder(subject, lambda s: _transition(s, problem)), exact.ordered_exponential(problem)


@claim(
    "HB-6.2",
    source="Magnus 1954, the first commutator",
    resolution=0.1,
    mutants=[models.GAMMA_DOUBLED, models.TRANSPOSED_FORCE, wrong.scaled("y0", 1.01)],
)
def commutator(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """What the plain exponential of HB-6 is off by are Magnus' commutator terms, the first ½ ∫∫_{s<t} [M(t), M(s)].

    Over the first seventh of the interval, of length τ: observed minus exp(∫ M), against the same with four terms in
    the exponent. Third and fourth are of the size of (τ|M|)² times the second, and the next two again so: twice that is
    the bar.
    """
    heavy_ball(problem)
    if commuting(problem):
        raise NotApplicable("the matrices M(t) commute: there is no defect, HB-6 itself holds")
    short = early(problem, 1 / 7)
    plain, second, fourth = exact.magnus(short)
    size = float(np.max(np.abs(plain.value)))
    observed = ladder(subject, lambda s: _transition(s, short) - plain.value, scale=size)
    reach = float(short.ts[-1] - short.ts[0]) * _largest_norm(short)
    further = 2 * reach**2 * float(np.max(np.abs(fourth.value - second.value)))
    return observed, Bounded(fourth.value - plain.value, {"further terms": further, "references": 3 * plain.radius})


def _largest_norm(problem: Problem) -> float:
    return float(np.max(np.linalg.norm(linearised(problem), 2, axis=(-2, -1))))


@claim(
    "HB-7",
    source="Liouville's formula",
    resolution=1e-4,
    mutants=[wrong.scaled("y0", 1.0002), models.GAMMA_DOUBLED, models.GAMMA_FLIPPED, models.GAMMA_ON_POSITION],
)
def volume(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """det ∂(h, m)(T)/∂(h, m)(t) = exp(−d ∫ γ dt), whatever f is."""
    p = heavy_ball(problem)
    damping = exact.damping_to_the_end(problem)
    value = np.exp(-p.d * damping.value[:-1])
    expected = np.tile(value[:, None], (1, problem.batch))
    bar = p.d * value[:, None] * damping.radius[:-1, None]
    return (
        ladder(subject, lambda s: np.linalg.det(adjoint_states(s, problem))),
        Bounded(expected, {"damping": np.tile(bar, (1, problem.batch))}),
    )


def _true_form(_: Subject, problem: Problem) -> Bounded:
    """Pᵀ Ω P of the reference's own P: where J is not symmetric it turns by ∫ Pᵀ [[Jᵀ − J, 0], [0, 0]] P e^{∫γ} dt."""
    truth, omega = _but_last(exact.adjoint(problem)), _omega(heavy_ball(problem).d)
    size, off = np.abs(truth.value), truth.radius
    bar = np.swapaxes(size + off, -1, -2) @ np.abs(omega) @ off + np.swapaxes(off, -1, -2) @ np.abs(omega) @ size
    return Bounded(np.swapaxes(truth.value, -1, -2) @ omega @ truth.value, {"reference": bar})


def _omega(d: int) -> Array:
    eye = np.eye(d)
    return np.block([[0 * eye, eye], [-eye, 0 * eye]])


@claim(
    "HB-7.1",
    source="conformally symplectic flows: McLachlan & Perlmutter 2001",
    resolution=1e-4,
    when=SYMMETRIC_JACOBIAN,
    predicted=_true_form,
    mutants=[wrong.scaled("y0", 1.0002), models.GAMMA_DOUBLED, models.GAMMA_ON_POSITION],
)
def conformally_symplectic(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Pᵀ Ω P = e^{−∫γ} Ω with P = ∂(h, m)(T)/∂(h, m)(t) and Ω = [[0, I], [−I, 0]]."""
    p = heavy_ball(problem)
    omega = _omega(p.d)
    damping = exact.damping_to_the_end(problem)
    value = np.exp(-damping.value[:-1])[:, None, None, None]

    def form(matrix: Array) -> Array:
        return np.swapaxes(matrix, -1, -2) @ omega @ matrix

    clearly_false(value * omega, form(exact.adjoint(problem).value[:-1]), SYMMETRIC_JACOBIAN, problem)
    shape = (len(problem.ts) - 1, problem.batch, 2 * p.d, 2 * p.d)
    bar = np.broadcast_to(value * damping.radius[:-1, None, None, None], shape)
    observed = ladder(subject, lambda s: form(adjoint_states(s, problem)))
    return observed, Bounded(np.broadcast_to(value * omega, shape), {"damping": bar})


@claim(
    "HB-8",
    source=f"{PAPER}: the adjoint of the generalised system",
    resolution=1e-5,
    mutants=[
        wrong.scaled("y0", 1.0002),
        *ADJOINT_MUTANTS,
        models.ACTIVATION_DROPPED,
        models.ACTIVATION_SLOPE_DROPPED,
        models.SPRING_DROPPED,
    ],
)
def generalised_adjoint(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """GHBNODE: a_h' = −(J − ξ I)ᵀ a_m and a_m' = −s'(m) ⊙ a_h + γ a_m."""
    if heavy_ball(problem).plain:
        raise NotApplicable("the field has neither a spring nor an activation of its momentum: see HB-2")
    return ladder(subject, lambda s: adjoint_states(s, problem)), _but_last(exact.adjoint(problem))


@claim(
    "HB-10",
    source=f"{PAPER}; the general form is derived here",
    resolution=1e-5,
    mutants=[models.GAMMA_FROZEN, *ADJOINT_MUTANTS],
)
def damping_of_time(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """With a damping γ(t), a_m'' − γ a_m' − γ' a_m = Jᵀ a_m and a_h = γ a_m − a_m'; HB-2 and HB-7 stay as they are."""
    heavy_ball(problem, plain=True)
    if constant_damping(problem):
        raise NotApplicable("the damping is constant: see HB-3")
    expected = exact.momentum_adjoint(problem, with_rate_of_damping=True)
    return ladder(subject, lambda s: adjoint_states(s, problem)), _but_last(expected)
