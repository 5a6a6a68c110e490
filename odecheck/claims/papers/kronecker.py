"""Kronecker factors of a layer's block, its eigenbasis and spectrum (SNOPT-6 to SNOPT-9, arXiv:2109.14158).

What subjects gather along their adjoint solves is compared with integrals of the reference, along its own solution and
its own adjoints.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from odecheck_reference import Bounded, Problem, solution
from odecheck_reference.bounded import Array
from odecheck_reference.flow import Trajectory, bounded
from torch import Tensor, nn

from odecheck.claim import Condition, claim
from odecheck.claims.shared.exact_curvature import (
    block,
    first_run,
    true_blocks,
)
from odecheck.claims.shared.observed_curvature import (
    blocks_of_layers,
    ended_problem,
    factors_of_layers,
    flat,
    gather,
    method_of,
    of_layers_alone,
    small_blocks,
    unflat,
    units,
)
from odecheck.claims.shared.reparametrised import Sandwich, sandwich
from odecheck.claims.shared.terminal import factor_rows
from odecheck.claims.shared.true_factors import Along, true_factors
from odecheck.curvature import Blocks, Eigenbasis, SampleIntegrals
from odecheck.engines.own import Closed
from odecheck.errors import NotApplicable
from odecheck.judge import Verdict
from odecheck.mutants import curvature as wrong
from odecheck.mutants.derivatives import SCALED_FIELD
from odecheck.refinement import ladder
from odecheck.solvers import FixedStep
from odecheck.subject import SHIPPED, Subject, tensor

from .snopt import PAPER

EPS = float(np.finfo(np.float64).eps)


@claim(
    "SNOPT-6",
    source=f"{PAPER}: Kronecker factors",
    resolution=1e-5,
    mutants=[
        wrong.MISSING_LENGTH,
        wrong.MEAN_FOR_SUM,
        wrong.NO_BIAS,
        wrong.BATCH_TOO_MANY,
        wrong.BATCH_IN_INPUTS,
        wrong.SAMPLES_AS_CALLS,
        wrong.ONE_INTERVAL,
        wrong.NEVER_RESET,
        wrong.SWAPPED,
        SCALED_FIELD,
    ],
)
def factors_are_time_integrals(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """What is gathered along the adjoint solve is A = E ∫ z zᵀ dt, B = E Σ_i ∫ g_i g_iᵀ dt, for every linear layer.

    The reference integrates along its own solution, with an adjoint for each factor of the loss's Hessian.
    """
    ended = ended_problem(problem)
    truth = true_factors(subject, ended)
    norms = units(subject, ended, truth.value)
    observed = ladder(subject, lambda s: flat(factors_of_layers(s, ended)) / norms)
    return observed, Bounded(truth.value / norms, {name: term / norms for name, term in truth.budget.items()})


def _constant(problem: Problem) -> bool:
    """One sample, one factor, z and g constant in time."""
    ended = ended_problem(problem)
    rows = factor_rows(ended.loss, solution(ended).value[-1])
    if ended.batch != 1 or np.count_nonzero(np.abs(rows).max(axis=(0, 2))) != 1:
        return False
    along = Along.of(ended, Subject(SHIPPED, FixedStep("rk4"), Closed()).module(ended))
    each = [along.calls(float(t)) for t in np.linspace(ended.ts[0], ended.ts[-1], 6)]
    for layer in zip(*each, strict=True):
        for part in (np.stack([z for z, _ in layer]), np.stack([np.stack(gs) for _, gs in layer])):
            if np.max(np.abs(part - part[0])) > 1e-9 * max(float(np.max(np.abs(part))), 1e-300):
                return False
    return True


CONSTANT = Condition("one sample, one factor of the loss's Hessian, z and g constant in time", _constant)


def _true_products(subject: Subject, problem: Problem) -> Bounded:
    """A ⊗ B of the reference's own factors: it differs from a block as the mean of products from a product of means."""
    ended = of_layers_alone(subject, problem)
    truth = true_factors(subject, ended)

    def dense(values: Array) -> Array:
        return np.concatenate([f.dense().numpy().ravel() for f in unflat(subject, ended, values)])

    sizes, off = np.abs(truth.value), truth.radius
    return Bounded(dense(truth.value), {"factors": dense(sizes + off) - dense(sizes)})


@claim(
    "SNOPT-6.1",
    source=f"{PAPER}: the Kronecker approximation, read literally as an identity",
    resolution=1e-5,
    expect=Verdict.REFUTED,
    when=CONSTANT,
    predicted=_true_products,
    mutants=[wrong.MISSING_LENGTH, wrong.NEVER_RESET],
)
def block_is_a_kronecker_product(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Read literally as an identity: a layer's block of the Gauss–Newton matrix is A ⊗ B.

    True of one sample and one factor with z and g constant in time; else an approximation.
    """
    ended = of_layers_alone(subject, problem)
    of = true_blocks(subject, ended)
    truth = bounded(ended, 1, lambda run: np.concatenate([block(x, ended.batch).ravel() for x in of(run)]))

    def observe(s: Subject) -> Array:
        return np.concatenate([f.dense().numpy().ravel() for f in factors_of_layers(s, ended)])

    return ladder(subject, observe), truth


@claim(
    "SNOPT-7",
    source=f"{PAPER}: preconditioning in the eigenbases of the factors",
    resolution=1e-8,
    mutants=[wrong.TRANSPOSED_BASIS, wrong.SPLIT_DAMPING, wrong.OUTPUTS_FORGOTTEN, wrong.MORE_DAMPING],
)
def preconditioner_is_a_dense_solve(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """U_B[(U_Bᵀ G U_A) ⊘ (λ_B λ_Aᵀ + ε)]U_Aᵀ is (A ⊗ B + ε I)⁻¹ vec G, solved as one dense system, to round-off."""
    ended, method = ended_problem(problem), method_of(subject)
    small_blocks(ended, replace(subject, around=()).module(ended))
    observed: list[Array] = []
    expected: list[Array] = []
    bars: list[Array] = []
    for found in filter(None, blocks_of_layers(subject, ended)):
        factors, gradient = found.factors, found.integrals.sum((0, 1))
        dense = np.kron(factors.B.numpy(), factors.A.numpy())
        damping = 0.05 * float(np.linalg.norm(dense, 2))
        if not damping > 0 or not bool(gradient.any()):
            continue
        true = np.linalg.solve(dense + damping * np.eye(len(dense)), gradient.numpy().ravel())
        size = float(np.max(np.abs(true)))
        observed.append(method.precondition(factors, gradient, damping).numpy().ravel() / size)
        expected.append(np.asarray(true / size, dtype=np.float64))
        bars.append(np.full(len(true), 1e3 * EPS * len(true) * 21))  # 21: condition of the damped system
    if not observed:
        raise NotApplicable("no layer has a gradient")
    return Bounded(np.concatenate(observed)), Bounded(np.concatenate(expected), {"round-off": np.concatenate(bars)})


def _bases(subject: Subject, ended: Problem) -> list[Eigenbasis]:
    return [Eigenbasis.of(f) for f in unflat(subject, ended, true_factors(subject, ended).value)]


def _spectra(subject: Subject, ended: Problem, bases: list[Eigenbasis]) -> list[Array]:
    found = zip(blocks_of_layers(subject, ended), bases, strict=True)
    return [method_of(subject).spectrum(basis, _taking_part(blocks)).numpy() for blocks, basis in found]


def _taking_part(blocks: Blocks | None) -> Blocks:
    if blocks is None:
        raise LookupError("nothing was gathered of a layer that takes part in the field")
    return blocks


@claim(
    "SNOPT-8",
    source="arXiv:1806.03884: the spectrum as second moments in the factors' eigenbasis",
    resolution=1e-5,
    mutants=[wrong.HALVED_SPECTRUM, wrong.MEAN_GRADIENT, wrong.FACTORS_SUMMED, wrong.NOT_ROTATED, SCALED_FIELD],
)
def spectrum_is_the_diagonal(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The re-estimated spectrum E Σ_i (U_Bᵀ G_i U_A)² is the diagonal of the true block in the eigenbasis.

    So no matrix that is diagonal there is nearer to the block in Frobenius norm.
    """
    ended = of_layers_alone(subject, problem)
    bases = _bases(subject, ended)
    of = true_blocks(subject, ended)

    def truth(run: Trajectory) -> Array:
        found: list[Array] = []
        for gradients, basis in zip(of(run), bases, strict=True):
            vectors = np.kron(basis.outputs.numpy(), basis.columns.numpy())
            found.append(np.einsum("ij,ik,kj->j", vectors, block(gradients, ended.batch), vectors))
        return np.concatenate(found)

    return ladder(subject, lambda s: np.concatenate([x.ravel() for x in _spectra(s, ended, bases)])), bounded(
        ended, 1, truth
    )


@claim(
    "SNOPT-8.1",
    source="arXiv:1806.03884: re-estimating never hurts",
    resolution=1e-4,
    scale=1.0,
    mutants=[wrong.HALVED_SPECTRUM, wrong.NOT_ROTATED],
)
def spectrum_is_never_worse(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The Frobenius error of the re-estimated matrix to the true block is never larger than that of A ⊗ B.

    Observed: by which part of the error of A ⊗ B it is larger, 0 if it is not.
    """
    ended = of_layers_alone(subject, problem)
    truth = true_factors(subject, ended)
    kronecker = unflat(subject, ended, truth.value)
    bases = [Eigenbasis.of(f) for f in kronecker]
    of = true_blocks(subject, ended)
    exact = [block(x, ended.batch) for x in first_run(ended, of)]
    errors = [float(np.linalg.norm(f.dense().numpy() - e)) for f, e in zip(kronecker, exact, strict=True)]
    if all(e <= 1e-6 * np.linalg.norm(x) for e, x in zip(errors, exact, strict=True)):
        raise NotApplicable("A ⊗ B is the true block here: there is nothing to make better")

    def observe(s: Subject) -> Array:
        worse: list[float] = []
        for basis, spectrum, true, error in zip(bases, _spectra(s, ended, bases), exact, errors, strict=True):
            if error > 1e-6 * np.linalg.norm(true):
                mine = float(np.linalg.norm(replace(basis, spectrum=tensor(spectrum)).dense().numpy() - true))
                worse.append(max(mine / error - 1, 0.0))
        return np.array(worse)

    found = ladder(subject, observe, scale=1.0)
    # the reference knows a block to about 1e-12 of its norm, and the errors compared are at least 1e-6 of it
    return found, Bounded(np.zeros_like(found.value), {"reference": np.full_like(found.value, 1e-6)})


@claim(
    "SNOPT-9",
    source=f"{PAPER}: invariance of a Kronecker step, without damping",
    resolution=1e-3,
    mutants=[wrong.OUTPUTS_FORGOTTEN, wrong.MORE_DAMPING, wrong.TRANSPOSED_BASIS],
)
def step_is_invariant(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """A step with (A ⊗ B)⁻¹ does not change under invertible affine maps of the inputs and outputs of the layers.

    For z' = M z + m, h' = N h the step of (W', b') is that of (W, b), mapped along. Both are gathered by the subject,
    the one on its module, the other on the module with every layer between such maps.
    """
    ended = of_layers_alone(subject, problem)
    truth = unflat(subject, ended, true_factors(subject, ended).value)
    condition = max(float(torch.linalg.cond(f.A) * torch.linalg.cond(f.B)) for f in truth)
    if not condition < 1e7:
        raise NotApplicable(f"the factors are singular, or nearly so: condition {condition:.1e}")

    def step(s: Subject, found: Blocks) -> Tensor:
        return method_of(s).precondition(found.factors, found.integrals.sum((0, 1)), 0.0)

    def as_it_is(s: Subject) -> Array:
        return np.concatenate([step(s, _taking_part(b)).numpy().ravel() for b in blocks_of_layers(s, ended)])

    def between(s: Subject) -> Array:
        sums = SampleIntegrals()
        sandwiches: list[Any] = []

        def change(module: nn.Module) -> None:
            sandwich(module)
            sandwiches.extend(m for m in module.modules() if isinstance(m, Sandwich))

        layers = gather(s, ended, sums, change)
        blocks = sums.blocks("sum")
        of_layer = {sandwich.layer: sandwich for sandwich in sandwiches}
        return np.concatenate([of_layer[m].back(step(s, blocks[m])).numpy().ravel() for m in layers])

    return ladder(subject, between), ladder(subject, as_it_is)
