"""Identities of AdamNODEs (claims ADAM-1 to ADAM-6): h' = −m / √(v + ε), m' = α1 (−f − m), v' = α2 (f² − v).

The subject gives dL/d(h, m, v)(t) by starting at t; the reference solves the equation that is stated about it.
J = ∂f/∂h along the trajectory, a = dL/d(h, m, v). With the code's denominator, R(v) = 1 / (√softplus(v) + ε)
takes the place of (v + ε)^(−1/2).
"""

from __future__ import annotations

import numpy as np
import torch
from odecheck_reference import Bounded, Problem, solution
from odecheck_reference import adam as exact
from odecheck_reference.bounded import Array
from odecheck_reference.heavy_ball import at_times
from odecheck_reference.looked import kept

from odecheck.claim import Condition, claim, family
from odecheck.claims.shared.adjoint_states import adjoint_states, ended
from odecheck.claims.shared.conditions import clearly_false
from odecheck.errors import NotApplicable
from odecheck.judge import Verdict
from odecheck.mutants import derivatives as wrong
from odecheck.mutants import models as models
from odecheck.refinement import ladder
from odecheck.subject import Subject, tensor, to_numpy

ADAM = family(
    "ADAM",
    title="AdamNODEs: When Neural ODE Meets Adaptive Moment Estimation (arXiv:2207.06066)",
    order=50,
    page="mathematics/adam.md",
    drawn=("Adam*",),
    alone="states the paper's own identity of Adam models, a second reference beside the sensitivities",
)
PAPER = "arXiv:2207.06066, AdamNODE"
SAMPLES = 17


def _adam(problem: Problem) -> exact.Pieces:
    try:
        return exact.pieces(problem)
    except TypeError as reason:
        raise NotApplicable(str(reason)) from None


def _but_last(truth: Bounded, start: int = 0) -> Bounded:
    return Bounded(truth.value[:-1, ..., start:], {k: term[:-1, ..., start:] for k, term in truth.budget.items()})


@kept(64)
def _sampled(problem: Problem) -> Problem:
    """The same flow at many times. Inequalities speak of the future of a start: time has to run forwards."""
    if problem.ts[0] > problem.ts[-1]:
        raise NotApplicable("time runs backwards: the averages then grow instead of forgetting")
    return at_times(problem, np.linspace(problem.ts[0], problem.ts[-1], SAMPLES))


def _undriven(problem: Problem) -> bool:
    p = _adam(problem)
    states = solution(problem).value
    jacobians = [p.force(float(t), y)[1] for t, y in zip(problem.ts, states, strict=True)]
    return not np.any(jacobians) and not exact.last_slope(problem)[:, : p.d].any()


def _equal_rates(problem: Problem) -> bool:
    _adam(problem)
    return exact.velocity_bound(problem) == 1.0


UNDRIVEN = Condition("a_h vanishes: f does not depend on h, nor the loss on h(T)", _undriven)
EQUAL_RATES = Condition("α1 = α2 and m(0)² ≤ v(0)", _equal_rates)
ADJOINT_MUTANTS = [
    models.HALF_SQUARE,
    models.FROZEN_V,
    models.EPSILON_MISPLACED,
    models.DENOMINATOR_DETACHED,
    models.RATES_SWAPPED,
]


@claim(
    "ADAM-1",
    source=f"{PAPER}: the adjoint system",
    resolution=1e-5,
    mutants=[wrong.scaled("y0", 1.0002), wrong.TRANSPOSED_JACOBIAN, *ADJOINT_MUTANTS],
)
def adjoint_of_the_system(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """a_h' = Jᵀ(α1 a_m − 2 α2 f ⊙ a_v), a_m' = a_h/√(v+ε) + α1 a_m, a_v' = −a_h ⊙ m/(2 (v+ε)^(3/2)) + α2 a_v."""
    _adam(problem)
    return ladder(subject, lambda s: adjoint_states(s, problem)), _but_last(exact.adjoint(problem))


def _true_averages(_: Subject, problem: Problem) -> Bounded:
    """dL/d(m, v)(t) of the reference, for the last slope of the loss: each is driven on its own, see ADAM-2.1."""
    p, slope, adjoint = _adam(problem), exact.last_slope(problem), exact.adjoint(problem)
    value = np.einsum("bk,tbkj->tbj", slope, adjoint.value)[:-1, :, p.d :]
    bar = np.einsum("bk,tbkj->tbj", np.abs(slope), adjoint.radius)[:-1, :, p.d :]
    return Bounded(value, {"reference": bar})


@claim(
    "ADAM-2",
    source=f"{PAPER}: the adjoint states satisfy an AdamODE",
    resolution=1e-4,
    expect=Verdict.REFUTED,
    when=UNDRIVEN,
    predicted=_true_averages,
    mutants=[models.DECAY_DROPPED, models.FROZEN_V, models.V_DECAY_DOUBLED],
)
def adjoint_literally(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Read literally as 'in reversed time (a_h, a_m, a_v) is an AdamODE': a_v averages the square of what a_m does."""
    p = _adam(problem)
    expected = exact.one_driver(problem)
    right = np.einsum("bk,tbkj->tbj", exact.last_slope(problem), exact.adjoint(problem).value)[..., p.d :]
    clearly_false(expected.value, right, UNDRIVEN, problem)
    return ladder(subject, lambda s: np.stack([s.gradient(part).y0[:, p.d :] for part in ended(problem)])), _but_last(
        expected
    )


@claim(
    "ADAM-2.1",
    source=f"{PAPER}; the exact sense is derived here",
    resolution=1e-5,
    mutants=[wrong.scaled("y0", 1.0002), *ADJOINT_MUTANTS],
)
def adjoint_filters(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """In reversed time a_m averages −a_h/(α1 √(v+ε)) at the rate α1, and a_v averages a_h ⊙ m/(2 α2 (v+ε)^(3/2)) at α2.

    The latter is no square: a_v takes either sign, and a_h is driven by both.
    """
    p = _adam(problem)
    return ladder(subject, lambda s: adjoint_states(s, problem)[..., p.d :]), _but_last(exact.filters(problem))


@claim(
    "ADAM-3",
    source=f"{PAPER}: v averages squares",
    resolution=1e-5,
    scale=1.0,
    mutants=[models.NEGATIVE_SQUARE, models.SQUARE_FORGOTTEN],
)
def squares_stay_positive(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """v(t) ≥ v(0) e^{−α2 t}: v stays non-negative.

    Observed is by how much the inequality is violated, at 17 times, relative to the largest v. It holds for the flow;
    the steps of a solver may violate it, see the study of stability.
    """
    p = _adam(problem)
    sampled = _sampled(problem)
    first = p.split(problem.y0)[2]
    if (first < 0).any():
        raise NotApplicable("v(0) is negative somewhere")
    decay = exact.decay_of_squares(sampled)
    floor = decay.value[:, None, None] * first
    size = float(np.max(np.abs(p.split(solution(problem).value)[2]))) or 1.0

    def violation(s: Subject) -> Array:
        return np.minimum(p.split(s.solution(sampled))[2] - floor, 0.0) / size

    bar = decay.radius[:, None, None] * first / size
    return ladder(subject, violation, scale=1.0), Bounded(np.zeros_like(floor), {"floor": bar})


def _overshoot(subject: Subject, sampled: Problem, d: int, bound: float) -> Array:
    """By how much |h'| exceeds a bound, relative to it: (times, batch, d)."""
    module = subject.module(sampled)
    with torch.no_grad():
        rates = [
            to_numpy(module(tensor(t), tensor(y)))[:, :d]
            for t, y in zip(sampled.ts, subject.solution(sampled), strict=True)
        ]
    return np.maximum(np.abs(np.stack(rates)) / bound - 1.0, 0.0)


@claim(
    "ADAM-4",
    source=f"{PAPER}: bounded updates; the bound is derived here",
    resolution=1e-5,
    scale=1.0,
    mutants=[models.DECAY_DROPPED, models.ROOT_DROPPED, models.V_DECAY_DOUBLED],
)
def bounded_velocity(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """|h'| ≤ 1 if α1 = α2 and m(0)² ≤ v(0); |h'| ≤ α1/√(α2 (2 α1 − α2)) if 2 α1 > α2 and m(0) = 0.

    Observed is by how much the bound is exceeded, at 17 times.
    """
    p = _adam(problem)
    bound = exact.velocity_bound(problem)
    if bound is None:
        raise NotApplicable("no bound is known: the rates or the start are others, or time runs backwards. See ADAM-5")
    sampled = _sampled(problem)
    observed = ladder(subject, lambda s: _overshoot(s, sampled, p.d, bound), scale=1.0)
    return observed, Bounded(np.zeros_like(observed.value))


def _true_overshoot(_: Subject, problem: Problem) -> Bounded:
    """By how much |h'| = |m| R(v) exceeds 1 in the reference's own states."""
    p, truth = _adam(problem), solution(_sampled(problem))
    m, v = p.split(truth.value)[1:]
    off_m, off_v = p.split(truth.radius)[1:]
    factor, slope = p.reciprocal(v)
    bar = off_m * np.abs(factor) + 2 * (np.abs(m) + off_m) * np.abs(slope) * off_v
    return Bounded(np.maximum(np.abs(m * factor) - 1.0, 0.0), {"reference": bar})


@claim(
    "ADAM-5",
    source=f"{PAPER}: bounded updates, at any rates",
    resolution=1e-5,
    scale=1.0,
    expect=Verdict.REFUTED,
    when=EQUAL_RATES,
    predicted=_true_overshoot,
    mutants=[models.DECAY_DROPPED, models.ROOT_DROPPED, models.V_DECAY_DOUBLED],
)
def bounded_velocity_literally(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Read literally as 'no component moves faster than 1, whatever the rates': |h'| ≤ 1.

    Where it is not proven, a problem whose exact velocity stays below 1 tells nothing.
    """
    p = _adam(problem)
    sampled = _sampled(problem)
    if exact.velocity_bound(problem) != 1.0 and _fastest(sampled, p) < 1.001:
        raise NotApplicable("the exact velocity stays below 1 here: no counter-example")
    observed = ladder(subject, lambda s: _overshoot(s, sampled, p.d, 1.0), scale=1.0)
    return observed, Bounded(np.zeros_like(observed.value))


def _fastest(sampled: Problem, p: exact.Pieces) -> float:
    _, m, v = p.split(solution(sampled).value)
    return float(np.max(np.abs(m * p.reciprocal(v)[0])))


@claim(
    "ADAM-6",
    source="Liouville's formula",
    resolution=1e-4,
    mutants=[wrong.scaled("y0", 1.0002), models.FROZEN_V, models.V_DECAY_DOUBLED, models.DECAY_DROPPED],
)
def volume(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """det ∂(h, m, v)(T)/∂(h, m, v)(t) = exp(−d ∫ (α1 + α2) dt), whatever f is."""
    p = _adam(problem)
    rates = exact.rates_to_the_end(problem)
    value = np.exp(-p.d * rates.value[:-1])[:, None]
    shape = (len(value), problem.batch)
    bar = np.broadcast_to(p.d * value * rates.radius[:-1, None], shape)
    return (
        ladder(subject, lambda s: np.linalg.det(adjoint_states(s, problem))),
        Bounded(np.broadcast_to(value, shape), {"rates": bar}),
    )
