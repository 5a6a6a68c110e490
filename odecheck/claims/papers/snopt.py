"""Second-order adjoint and Gauss–Newton identities (SNOPT-1 to SNOPT-5, SNOPT-10 and SNOPT-11, arXiv:2109.14158).

With L = Φ(y(ts)) + ∫ ℓ dt, Q_xx = ∂²L/∂y0², Q_xθ, Q_θθ. The reference has all of them from the second variational
equation, forwards in time; subjects have them from equations backwards in time, or from the steps.
"""

from __future__ import annotations

import numpy as np
from odecheck_reference import Bounded, Problem, gauss_newton, gradient, hessian
from odecheck_reference.bounded import Array
from odecheck_reference.flat import is_large
from odecheck_reference.flow import Trajectory, bounded
from odecheck_reference.losses import CrossEntropy, Linear, SquaredError
from odecheck_reference.products import horizon as true_horizon
from torch import Tensor

from odecheck.claim import claim, family
from odecheck.claims.shared.along_directions import products, right_products
from odecheck.claims.shared.terminal import (
    drawn_factors,
    factor_rows,
    first_row,
    subject_rows,
    terminal,
    true_factor_rows,
)
from odecheck.engines.base import factors_of, second_order_of
from odecheck.errors import NotApplicable
from odecheck.instruments.live_bytes import LiveBytes
from odecheck.instruments.metering import Meter, charge, to_be_kept
from odecheck.instruments.posed import Posed
from odecheck.instruments.unit_of_work import kept_in_unit
from odecheck.judge import Verdict
from odecheck.mutants import second_order as wrong
from odecheck.mutants.derivatives import SCALED_FIELD
from odecheck.refinement import ladder
from odecheck.subject import Subject, to_numpy

SNOPT = family(
    "SNOPT",
    title="Second-Order Neural ODE Optimizer (arXiv:2109.14158)",
    order=30,
    page="mathematics/snopt.md",
    speaks_of="second derivatives",
    drawn=(
        "network of width 1",
        "linear",
        "Adam of width 1",
        "heavy ball of width 1",
        "generalised heavy ball of width 1",
    ),
)
PAPER = "arXiv:2109.14158"
LARGEST = 60


def _rows(problem: Problem) -> int:
    return problem.y0.size + problem.field.params


def _size(problem: Problem) -> int:
    size = _rows(problem)
    if size > LARGEST:
        raise NotApplicable(f"the Hessian has {size} rows; whole matrices are compared up to {LARGEST}")
    return size


def _block(matrix: Bounded, rows: slice, columns: slice) -> Bounded:
    return Bounded(matrix.value[rows, columns], {name: term[rows, columns] for name, term in matrix.budget.items()})


@claim(
    "SNOPT-1",
    source=f"{PAPER}: the second-order adjoint",
    resolution=1e-5,
    mutants=[
        wrong.OTHER_FORM,
        wrong.TRANSPOSED_BLOCK,
        wrong.FORGOTTEN_SYMMETRIC,
        wrong.FORGOTTEN_JUMP,
        wrong.HALF_MIXED,
        wrong.SCALED_HESSIAN,
        SCALED_FIELD,
    ],
)
def second_order_adjoint(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Q at t0, with the second derivatives of the field weighted by the adjoint, is the Hessian of L in (y0, theta).

    −Q_xx' = ℓ_xx + F_xᵀQ_xx + Q_xxF_x + a·F_xx and likewise Q_xθ, Q_θθ, with a jump of Φ_yy at every observation.
    Beyond 60 rows it is asked in directions, a random one and one in each layer alone, of which whole vectors are
    compared: what is off in a block shows in proportion, unless its errors cancel in all of them.
    """
    if _rows(problem) > LARGEST:
        return products(subject, problem, of="hessian", by="hessian")
    whole = slice(0, _size(problem))
    return ladder(subject, lambda s: s.hessian(problem)), _block(hessian(problem), whole, whole)


@claim(
    "SNOPT-1.1",
    source="symmetry of second derivatives",
    resolution=1e-10,
    mutants=[wrong.FORGOTTEN_SYMMETRIC, wrong.TRANSPOSED_BLOCK, wrong.HALF_MIXED],
)
def hessian_is_symmetric(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The Hessian is symmetric to round-off, at whatever tolerance it was solved."""
    _size(problem)
    found = subject.hessian(problem)
    # each entry is a sum over the steps; its transpose sums the same terms in another order
    roundoff = 1e4 * float(np.finfo(np.float64).eps) * float(np.max(np.abs(found)))
    return Bounded(found), Bounded(found.T, {"roundoff": roundoff})


@claim(
    "SNOPT-2",
    source=f"{PAPER}: the form without second derivatives of the field",
    resolution=1e-5,
    mutants=[wrong.OTHER_FORM, wrong.FORGOTTEN_JUMP, wrong.SCALED_HESSIAN],
)
def gauss_newton_form(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Without the terms a·F_xx, a·F_xθ, a·F_θθ, Q at t0 is the Gauss–Newton matrix Xᵀ Φ_yy X, X = ∂y(ts)/∂(y0, theta).

    Stated for losses without an integral term. Beyond 60 rows it is asked in directions, as SNOPT-1 is.
    """
    if problem.running is not None:
        raise NotApplicable("the loss has an integral term")
    if isinstance(problem.loss, Linear):
        raise NotApplicable("the loss is linear: its Gauss-Newton matrix is zero")
    if _rows(problem) > LARGEST:
        return products(subject, problem, of="gauss-newton", by="gauss-newton")
    whole = slice(0, _size(problem))
    observed = ladder(subject, lambda s: s.hessian(problem, curved=False))  # first: an engine may have none
    truth = _block(gauss_newton(problem), whole, whole)
    if not truth.value.any():
        raise NotApplicable("the loss is linear: its Gauss-Newton matrix is zero")
    return observed, truth


def _gauss_newton(subject: Subject, problem: Problem) -> Bounded:
    """What the form without second derivatives of the field is, whatever it is taken for: Xᵀ Φ_yy X.

    It differs from the Hessian by the terms that were left out, ∫ Σ_k a_k ∂²F_k dt on the tangents X of both sides.
    """
    if _rows(problem) > LARGEST:
        return right_products(subject, problem, of="hessian", by="gauss-newton")
    whole = slice(0, _size(problem))
    return _block(gauss_newton(problem), whole, whole)


@claim(
    "SNOPT-3",
    source=f"{PAPER}: dynamics of second order, read literally",
    resolution=1e-5,
    expect=Verdict.REFUTED,
    predicted=_gauss_newton,
    mutants=[wrong.SCALED_HESSIAN, wrong.OTHER_FORM],
)
def gauss_newton_is_the_hessian(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Read literally as an identity: the form without second derivatives of the field equals the Hessian of L.

    False in general; it holds where the adjoint is zero, or the field is affine in (y, theta) jointly.
    """
    if _rows(problem) > LARGEST:
        return products(subject, problem, of="hessian", by="gauss-newton")
    whole = slice(0, _size(problem))
    return ladder(subject, lambda s: s.hessian(problem, curved=False)), _block(hessian(problem), whole, whole)


@claim(
    "SNOPT-4",
    source=f"{PAPER}: the low-rank representation",
    resolution=1e-5,
    mutants=[wrong.SCALED_Q, wrong.FLIPPED_P, wrong.MEAN_P, wrong.LAST_Q, SCALED_FIELD],
)
def low_rank_factors(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """If Φ_yy = Σ y_i y_iᵀ then Q_xx = Σ q_i q_iᵀ, Q_xθ = Σ q_i p_iᵀ with −q_i' = F_xᵀq_i, −p_i' = F_θᵀq_i.

    Compared factor by factor: at t0 these are q_i = (∂y(T)/∂y0)ᵀ y_i and p_i = (∂y(T)/∂theta)ᵀ y_i. Of a large field
    the factors of one row are, two of them drawn.
    """
    engine, ended = factors_of(subject.engine), terminal(problem)
    drawn = None
    if is_large(ended):
        ended = first_row(ended)
        drawn = drawn_factors(ended)
    loss = ended.loss
    assert isinstance(loss, SquaredError | CrossEntropy)

    def observe(s: Subject) -> Array:
        found = s.observe(
            ended,
            lambda m, y0, ts, _: factors_of(s.engine).factors(m, s.solver, y0, ts, lambda y: subject_rows(loss, y)),
        )
        kept = [x[0] if drawn is None else x[0][:, drawn] for x in found]
        return np.concatenate([to_numpy(x) for x in kept], axis=-1)

    def truth(run: Trajectory) -> Array:
        assert run.first is not None
        return factor_rows(loss, run.y[-1]) @ run.first[-1]

    assert engine is subject.engine
    expected = bounded(ended, 1, truth) if drawn is None else true_factor_rows(ended, drawn)
    return ladder(subject, observe), expected


@claim(
    "SNOPT-10",
    source=f"{PAPER}: optimising the integration time, exactly",
    resolution=1e-5,
    mutants=[wrong.SCALED_QTT, wrong.FLIPPED_QT, wrong.HALF_QTTHETA, wrong.ROUGH_HORIZON, SCALED_FIELD],
)
def horizon(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Q_T = Φ_yᵀF, Q_TT = FᵀΦ_yyF + Φ_yᵀ(F_yF + F_t), Q_Tθ = (Φ_yyF)ᵀy_θ + Φ_yᵀ(F_y y_θ + F_θ), at the last time.

    An integral term adds ℓ, and its derivatives likewise.
    """
    return ladder(subject, lambda s: _horizon(s, problem, exact=True)), _true_horizon(problem)


def _published_horizon(_: Subject, problem: Problem) -> Bounded:
    """[Q_T, Q_T², Q_T Q_θ] of the reference: what the published form gives.

    It differs from Q_TT and Q_Tθ by FᵀΦ_yyF + Φ_yᵀ(F_yF + F_t) − Q_T² and (Φ_yyF)ᵀy_θ + Φ_yᵀ(F_y y_θ + F_θ) − Q_T Q_θ.
    """
    first = gradient(problem)
    last, off = first.ts.value[-1], first.ts.radius[-1]
    other = np.r_[last, first.theta.value]
    bars = np.abs(last) * np.r_[off, first.theta.radius] + off * (np.abs(other) + np.r_[off, first.theta.radius])
    return Bounded(np.r_[last, last * other], {"variational equations": np.r_[off, bars]})


@claim(
    "SNOPT-11",
    source=f"{PAPER}: optimising the integration time, as its published code does it; read literally",
    resolution=1e-5,
    expect=Verdict.REFUTED,
    predicted=_published_horizon,
    mutants=[SCALED_FIELD, wrong.DOUBLED_SQUARES, wrong.MEAN_SQUARES],
)
def horizon_from_first_order(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Read literally as an identity: Q_TT = Q_T² and Q_Tθ = Q_T Q_θ, the Gauss–Newton form with L as the residual."""
    return ladder(subject, lambda s: _horizon(s, problem, exact=False)), _true_horizon(problem)


def _horizon(subject: Subject, problem: Problem, *, exact: bool) -> Array:
    both, cost = _kept_horizon(subject, Posed(problem, losses=True))
    charge(cost)
    return both[0 if exact else 1].copy()


@kept_in_unit
def _kept_horizon(subject: Subject, posed: Posed) -> tuple[tuple[Array, Array], Meter]:
    def ask() -> tuple[Tensor, Tensor]:
        return subject.observe(
            posed.problem, lambda m, y0, ts, loss: factors_of(subject.engine).horizon(m, subject.solver, y0, ts, loss)
        )

    (exact, published), cost = to_be_kept(ask)
    return (to_numpy(exact), to_numpy(published)), cost


def _true_horizon(problem: Problem) -> Bounded:
    """[Q_T, Q_TT, Q_Ttheta] of the reference."""
    if _rows(problem) > LARGEST:
        return true_horizon(problem)
    first, second = gradient(problem).ts, hessian(problem)
    start, last = problem.y0.size, len(second.value) - 1
    columns = np.r_[last, start : start + problem.field.params]
    value = np.concatenate([first.value[-1:], second.value[last, columns]])
    radius = np.concatenate([first.radius[-1:], second.radius[last, columns]])
    return Bounded(value, {"variational equations": radius})


@claim(
    "SNOPT-12",
    source=f"{PAPER}: the same memory as the adjoint of first order",
    resolution=0.2,
    mutants=[wrong.KEEPS_STEPS],
)
def memory_is_flat(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The memory of a second derivative of the flow does not grow with the number of steps, within five per cent.

    Measured as the largest number of bytes of tensors alive at one time during one Hessian, at this tolerance or step
    and two rungs finer.
    """
    _size(problem)
    if subject.engine.target == "steps":
        raise NotApplicable("an engine that differentiates its steps has to keep them, or to repeat them")
    if subject.solver.stepping == "fixed":
        raise NotApplicable("a fixed-step solver keeps the grid of its steps, a number for each")
    finer = subject.refined().refined()
    coarse = _peak(subject, problem)
    return Bounded(_peak(finer, problem)), Bounded(coarse, {"five per cent": 0.05 * coarse})


def _peak(subject: Subject, problem: Problem) -> float:
    engine = second_order_of(subject.engine)
    with LiveBytes() as memory:
        subject.observe(problem, lambda m, y0, ts, loss: engine.hessian(m, subject.solver, y0, ts, loss))
    return float(memory.peak)
