"""Kronecker factors of a layer's block, its eigenbasis and spectrum (SNOPT-6 to SNOPT-9, arXiv:2109.14158).

What subjects gather along their adjoint solves is compared with integrals of the reference: its solution and its state
transition matrix at Gauss–Legendre nodes give z(t) and q_i(t) without any adjoint solve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from odecheck_reference import Bounded, Problem, solution
from odecheck_reference.bounded import Array
from odecheck_reference.flow import Trajectory, bounded
from odecheck_reference.losses import Linear as LinearLoss
from torch import Tensor, nn

from .. import mutants_curvature as wrong
from ..claim import Condition, NotApplicable, claim
from ..curvature import CurvatureError, Eigenbasis, Factors, Gather, SampleIntegrals
from ..curvature.gather import Sink
from ..curvature.method import RIGHT, Method
from ..engines.base import Unsupported
from ..engines.own import Closed
from ..judge import Verdict
from ..ladder import ladder
from ..mutants import SCALED_FIELD
from ..solvers import FixedStep
from ..subject import SHIPPED, Subject, tensor
from .layers import only_in_layers
from .snopt import PAPER, factor_rows, terminal

LARGEST = 400  # rows of a layer's block
NODES = (16, 24)
EPS = float(np.finfo(np.float64).eps)


def _method(subject: Subject) -> Method:
    return cast(Method, getattr(subject.engine, "curvature", RIGHT))


def _layers(module: nn.Module) -> list[nn.Linear]:
    found = [m for m in module.modules() if isinstance(m, nn.Linear)]
    if not found:
        raise NotApplicable("the field has no linear layer")
    size = max((m.in_features + 1) * m.out_features for m in found)
    if size > LARGEST:
        raise NotApplicable(f"a layer's block has {size} rows; blocks are compared up to {LARGEST}")
    return found


Change = Callable[[nn.Module], None]


def _gather(subject: Subject, ended: Problem, sink: Sink, change: Change = lambda _: None) -> list[nn.Linear]:
    """Fill a sink along one adjoint solve for each factor of the loss's Hessian; the layers, in their order."""
    if subject.engine.target != "flow":
        raise Unsupported(f"{subject.engine.name} differentiates its steps: there is no adjoint solve")
    rows = factor_rows(ended.loss, solution(ended).value[-1])
    if _method(subject).last_interval and len(ended.ts) > 2:
        ended = ended.with_(y0=solution(ended).value[-2], ts=ended.ts[-2:], loss=ended.loss.tail(len(ended.ts) - 2))

    def run(module: nn.Module, y0: Tensor, ts: Tensor, _: object) -> list[nn.Linear]:
        layers = _layers(module)
        change(module)
        gather = Gather(module, sink)
        with gather:
            for i in range(rows.shape[1]):
                row = tensor(rows[:, i].copy())
                subject.engine.gradient(module, subject.solver, y0, ts, lambda y, row=row: (row * y[-1]).sum())
        gather.finish()
        return layers

    try:
        return subject.observe(ended, run)
    except CurvatureError as reason:
        raise Unsupported(str(reason)) from None


def _factors(subject: Subject, ended: Problem, change: Change = lambda _: None) -> list[Factors]:
    method = _method(subject)
    sums = method.sums()
    layers = _gather(subject, ended, sums, change)
    rank = factor_rows(ended.loss, solution(ended).value[-1]).shape[1]
    found = sums.factors(along=set(layers), reduction="sum", rank=rank)
    return [method.factors(found[layer], ended.batch) for layer in layers if layer in found]


def _along_reference(subject: Subject, ended: Problem, ts: Array, run: Trajectory) -> list[list[tuple[Array, Array]]]:
    """For each of the run's times and each layer: z̃ (batch, columns) and g_i (batch, rank, outputs)."""
    assert run.first is not None
    d = ended.field.state
    module = replace(subject, around=()).module(ended)
    layers = _layers(module)
    transition = run.first[..., :d]
    end = np.swapaxes(transition[-1], 1, 2) @ np.swapaxes(factor_rows(ended.loss, run.y[-1]), 1, 2)
    found: list[list[tuple[Array, Array]]] = []
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def see(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if layer in seen or output.shape[:-1] != (ended.batch,):
            raise NotApplicable("a layer is not called once for each sample")
        seen[layer] = (inputs[0], output)

    handles = [layer.register_forward_hook(see) for layer in layers]
    try:
        for t, y, x in zip(ts, run.y, transition, strict=True):
            q = np.swapaxes(np.linalg.solve(np.swapaxes(x, 1, 2), end), 1, 2)
            seen.clear()
            value = module(tensor(np.asarray(t, dtype=np.float64)), tensor(y).requires_grad_())
            outputs = [seen[layer][1] for layer in layers if layer in seen]
            pulled = [torch.autograd.grad(value, outputs, torch.tensor(q[:, i]), retain_graph=True, allow_unused=True)
                      for i in range(q.shape[1])]  # fmt: skip
            at: list[tuple[Array, Array]] = []
            for j, layer in enumerate(m for m in layers if m in seen):
                z = seen[layer][0].detach().numpy()
                z = np.concatenate([z, np.ones((len(z), 1))], 1) if layer.bias is not None else z
                gs = [np.zeros(outputs[j].shape) if p[j] is None else p[j].numpy() for p in pulled]
                at.append((z, np.stack(gs, 1)))
            found.append(at)
    finally:
        for handle in handles:
            handle.remove()
    return found


@lru_cache(maxsize=32)
def _at_nodes(ended: Problem, nodes: int) -> tuple[Problem, Array]:
    """The problem with its ends and Gauss–Legendre nodes as times, and the weights of these."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    length = ended.ts[-1] - ended.ts[0]
    ts = np.concatenate([ended.ts[:1], ended.ts[0] + (x + 1) / 2 * length, ended.ts[-1:]])
    dense = ended.with_(ts=ts, loss=LinearLoss(np.zeros((len(ts), *ended.y0.shape))))
    return dense, np.concatenate([[0.0], abs(length) / 2 * w, [0.0]])


def _true_factors(subject: Subject, ended: Problem) -> Bounded:
    return _kept_factors(replace(subject, solver=FixedStep("rk4"), engine=Closed(), around=(), label=""), ended)


@lru_cache(maxsize=32)
def _kept_factors(subject: Subject, ended: Problem) -> Bounded:
    """All A and B one after the other, flat, from the reference."""

    def at(nodes: int) -> Bounded:
        dense, weights = _at_nodes(ended, nodes)

        def integrals(run: Trajectory) -> Array:
            along = _along_reference(subject, ended, dense.ts, run)
            parts: list[Array] = []
            for j in range(len(along[0])):
                z = np.stack([x[j][0] for x in along])
                g = np.stack([x[j][1] for x in along])
                parts.append(np.einsum("t,tba,tbc->ac", weights, z, z).ravel() / ended.batch)
                parts.append(np.einsum("t,tbia,tbic->ac", weights, g, g).ravel() / ended.batch)
            return np.concatenate(parts)

        return bounded(dense, 1, integrals)

    coarse, fine = (at(n) for n in NODES)
    gap = np.abs(fine.value - coarse.value)
    return Bounded(fine.value, {**fine.budget, "quadrature": np.full_like(gap, np.max(gap))})


def _flat(factors: list[Factors]) -> Array:
    return np.concatenate([m.numpy().ravel() for f in factors for m in (f.A, f.B)])


def _unflat(subject: Subject, ended: Problem, flat: Array) -> list[Factors]:
    sizes = [(m.in_features + (m.bias is not None), m.out_features) for m in _layers(subject.module(ended))]
    if sum(a * a + b * b for a, b in sizes) != len(flat):
        raise NotApplicable("a layer takes no part in the field")
    found: list[Factors] = []
    for a, b in sizes:
        parts, flat = (flat[: a * a].reshape(a, a), flat[a * a : a * a + b * b].reshape(b, b)), flat[a * a + b * b :]
        found.append(Factors(*(tensor(p.copy()) for p in parts)))
    return found


def _units(subject: Subject, ended: Problem, flat: Array) -> Array:
    """Each factor's norm, at each of its numbers: what is off in a small factor counts as in a large one."""
    norms: list[Array] = []
    for f in _unflat(subject, ended, flat):
        norms += [np.full(m.numel(), max(float(m.norm()), 1e-300)) for m in (f.A, f.B)]
    return np.concatenate(norms)


@lru_cache(maxsize=32)
def _ended(problem: Problem) -> Problem:
    ended = terminal(problem)
    if not factor_rows(ended.loss, solution(ended).value[-1]).any():
        raise NotApplicable("the loss does not look at the last time")
    return ended


def _of_layers_alone(subject: Subject, problem: Problem) -> Problem:
    """The ended problem of a field whose weights act through their layers alone: others have more in their blocks."""
    ended = _ended(problem)
    module = replace(subject, around=()).module(ended)
    only_in_layers(module, _layers(module), ended)
    return ended


@claim("SNOPT-6", source=f"{PAPER}: Kronecker factors", resolution=1e-5,
       mutants=[wrong.MISSING_LENGTH, wrong.MEAN_FOR_SUM, wrong.NO_BIAS, wrong.BATCH_TOO_MANY, wrong.BATCH_IN_INPUTS,
                wrong.SAMPLES_AS_CALLS, wrong.ONE_INTERVAL, wrong.NEVER_RESET, wrong.SWAPPED,
                SCALED_FIELD])  # fmt: skip
def factors_are_time_integrals(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """What is gathered along the adjoint solve is A = E ∫ z zᵀ dt, B = E Σ_i ∫ g_i g_iᵀ dt, for every linear layer.

    The reference integrates along its own solution, with adjoints from its state transition matrix.
    """
    ended = _ended(problem)
    truth = _true_factors(subject, ended)
    units = _units(subject, ended, truth.value)
    observed = ladder(subject, lambda s: _flat(_factors(s, ended)) / units)
    return observed, Bounded(truth.value / units, {name: term / units for name, term in truth.budget.items()})


def _true_blocks(subject: Subject, ended: Problem) -> Callable[[Trajectory], list[Array]]:
    """The gradients of (W, b) of single samples and factors, (batch · rank, outputs, columns) for each layer."""
    module = subject.module(ended)
    offsets: dict[int, int] = {}
    total = ended.field.state
    for parameter in module.parameters():
        offsets[id(parameter)] = total
        total += parameter.numel()

    def of(run: Trajectory) -> list[Array]:
        assert run.first is not None
        p = factor_rows(ended.loss, run.y[-1]) @ run.first[-1]
        found: list[Array] = []
        for layer in _layers(module):
            o, i = layer.weight.shape
            w, b = (offsets[id(x)] if x is not None else 0 for x in (layer.weight, layer.bias))
            weight = p[:, :, w : w + o * i].reshape(-1, o, i)
            bias = p[:, :, b : b + o].reshape(-1, o, 1)[:, :, : int(layer.bias is not None)]
            found.append(np.concatenate([weight, bias], 2))
        return found

    return of


def _block(gradients: Array, batch: int) -> Array:
    rows = gradients.reshape(len(gradients), -1)
    return rows.T @ rows / batch


def _constant(problem: Problem) -> bool:
    """One sample, one factor, z and g constant in time."""
    ended = _ended(problem)
    rows = factor_rows(ended.loss, solution(ended).value[-1])
    if ended.batch != 1 or np.count_nonzero(np.abs(rows).max(axis=(0, 2))) != 1:
        return False
    truth = Subject(SHIPPED, FixedStep("rk4"), Closed())
    dense, _ = _at_nodes(ended, 4)

    def spread(run: Trajectory) -> Array:
        along = _along_reference(truth, ended, dense.ts, run)
        parts = [np.stack([x[j][k].ravel() for x in along]) for j in range(len(along[0])) for k in (0, 1)]
        return np.array([max(float(np.max(np.abs(p - p[0]))) / max(float(np.max(np.abs(p))), 1e-300) for p in parts)])

    return float(bounded(dense, 1, spread).value[0]) < 1e-9


CONSTANT = Condition("one sample, one factor of the loss's Hessian, z and g constant in time", _constant)


@claim("SNOPT-6.1", source=f"{PAPER}: the Kronecker approximation, read literally as an identity", resolution=1e-5,
       expect=Verdict.REFUTED, when=CONSTANT, mutants=[wrong.MISSING_LENGTH, wrong.NEVER_RESET])  # fmt: skip
def block_is_a_kronecker_product(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Read literally as an identity: a layer's block of the Gauss–Newton matrix is A ⊗ B.

    True of one sample and one factor with z and g constant in time; else an approximation.
    """
    ended = _of_layers_alone(subject, problem)
    of = _true_blocks(subject, ended)
    truth = bounded(ended, 1, lambda run: np.concatenate([_block(x, ended.batch).ravel() for x in of(run)]))

    def observe(s: Subject) -> Array:
        return np.concatenate([f.dense().numpy().ravel() for f in _factors(s, ended)])

    return ladder(subject, observe), truth


@claim("SNOPT-7", source=f"{PAPER}: preconditioning in the eigenbases of the factors", resolution=1e-8,
       mutants=[wrong.TRANSPOSED_BASIS, wrong.SPLIT_DAMPING, wrong.OUTPUTS_FORGOTTEN, wrong.MORE_DAMPING])  # fmt: skip
def preconditioner_is_a_dense_solve(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """U_B[(U_Bᵀ G U_A) ⊘ (λ_B λ_Aᵀ + ε)]U_Aᵀ is (A ⊗ B + ε I)⁻¹ vec G, solved as one dense system, to round-off."""
    ended, method = _ended(problem), _method(subject)
    sums = SampleIntegrals()
    layers = _gather(subject, ended, sums)
    blocks = sums.blocks("sum")
    observed: list[Array] = []
    expected: list[Array] = []
    bars: list[Array] = []
    for found in (blocks[m] for m in layers if m in blocks):
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
    return [Eigenbasis.of(f) for f in _unflat(subject, ended, _true_factors(subject, ended).value)]


def _spectra(subject: Subject, ended: Problem, bases: list[Eigenbasis]) -> list[Array]:
    sums = SampleIntegrals()
    layers = _gather(subject, ended, sums)
    blocks = sums.blocks("sum")
    return [_method(subject).spectrum(b, blocks[m]).numpy() for m, b in zip(layers, bases, strict=True)]


@claim("SNOPT-8", source="arXiv:1806.03884: the spectrum as second moments in the factors' eigenbasis", resolution=1e-5,
       mutants=[wrong.HALVED_SPECTRUM, wrong.MEAN_GRADIENT, wrong.FACTORS_SUMMED, wrong.NOT_ROTATED,
                SCALED_FIELD])  # fmt: skip
def spectrum_is_the_diagonal(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The re-estimated spectrum E Σ_i (U_Bᵀ G_i U_A)² is the diagonal of the true block in the eigenbasis.

    So no matrix that is diagonal there is nearer to the block in Frobenius norm.
    """
    ended = _of_layers_alone(subject, problem)
    bases = _bases(subject, ended)
    of = _true_blocks(subject, ended)

    def truth(run: Trajectory) -> Array:
        found: list[Array] = []
        for gradients, basis in zip(of(run), bases, strict=True):
            vectors = np.kron(basis.outputs.numpy(), basis.columns.numpy())
            found.append(np.einsum("ij,ik,kj->j", vectors, _block(gradients, ended.batch), vectors))
        return np.concatenate(found)

    return ladder(subject, lambda s: np.concatenate([x.ravel() for x in _spectra(s, ended, bases)])), bounded(
        ended, 1, truth
    )


@claim("SNOPT-8.1", source="arXiv:1806.03884: re-estimating never hurts", resolution=1e-4, scale=1.0,
       mutants=[wrong.HALVED_SPECTRUM, wrong.NOT_ROTATED])  # fmt: skip
def spectrum_is_never_worse(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """The Frobenius error of the re-estimated matrix to the true block is never larger than that of A ⊗ B.

    Observed: by which part of the error of A ⊗ B it is larger, 0 if it is not.
    """
    ended = _of_layers_alone(subject, problem)
    truth = _true_factors(subject, ended)
    kronecker = _unflat(subject, ended, truth.value)
    bases = [Eigenbasis.of(f) for f in kronecker]
    of = _true_blocks(subject, ended)
    exact = [_block(x, ended.batch) for x in _first_run(ended, of)]
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


def _first_run(ended: Problem, of: Callable[[Trajectory], list[Array]]) -> list[Array]:
    kept: list[list[Array]] = []

    def keep(run: Trajectory) -> Array:
        kept.append(of(run))
        return np.zeros(1)

    bounded(ended, 1, keep)
    return kept[0]


class Sandwich(nn.Module):
    """h = N⁻¹ (W' (M z + m) + b'): the same function of z as W z + b, if W' = N W M⁻¹ and b' = N b − W' m."""

    def __init__(self, layer: nn.Linear, rng: np.random.Generator) -> None:
        super().__init__()
        self.layer = layer
        self.M, self.N = (_invertible(n, rng) for n in (layer.in_features, layer.out_features))
        self.m = tensor(rng.normal(size=layer.in_features)) if layer.bias is not None else None
        with torch.no_grad():
            layer.weight.copy_(self.N @ layer.weight @ torch.linalg.inv(self.M))
            if self.m is not None:
                layer.bias.copy_(self.N @ layer.bias - layer.weight @ self.m)

    def forward(self, z: Tensor) -> Tensor:
        moved = z @ self.M.T
        return self.layer(moved if self.m is None else moved + self.m) @ torch.linalg.inv(self.N).T

    def back(self, step: Tensor) -> Tensor:
        """A step of (W', b') as a step of (W, b)."""
        columns = self.M
        if self.m is not None:
            below = torch.cat([torch.zeros(len(self.M), dtype=self.M.dtype), torch.ones(1, dtype=self.M.dtype)])
            columns = torch.cat([torch.cat([self.M, self.m[:, None]], 1), below[None]])
        return torch.linalg.solve(self.N, step) @ columns


def _invertible(n: int, rng: np.random.Generator) -> Tensor:
    q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    return tensor(q * rng.uniform(0.5, 2.0, n))


def _sandwiched(module: nn.Module) -> None:
    rng = np.random.default_rng(0)
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and not isinstance(parent, Sandwich):
                setattr(parent, name, Sandwich(child, rng))


@claim("SNOPT-9", source=f"{PAPER}: invariance of a Kronecker step, without damping", resolution=1e-3,
       mutants=[wrong.OUTPUTS_FORGOTTEN, wrong.MORE_DAMPING, wrong.TRANSPOSED_BASIS])  # fmt: skip
def step_is_invariant(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """A step with (A ⊗ B)⁻¹ does not change under invertible affine maps of the inputs and outputs of the layers.

    For z' = M z + m, h' = N h the step of (W', b') is that of (W, b), mapped along. Both are gathered by the subject,
    the one on its module, the other on the module with every layer between such maps.
    """
    ended = _of_layers_alone(subject, problem)
    truth = _unflat(subject, ended, _true_factors(subject, ended).value)
    condition = max(float(torch.linalg.cond(f.A) * torch.linalg.cond(f.B)) for f in truth)
    if not condition < 1e7:
        raise NotApplicable(f"the factors are singular, or nearly so: condition {condition:.1e}")

    def steps(s: Subject, between: bool) -> Array:
        sums = SampleIntegrals()
        sandwiches: list[Any] = []

        def change(module: nn.Module) -> None:
            if between:
                _sandwiched(module)
                sandwiches.extend(m for m in module.modules() if isinstance(m, Sandwich))

        layers = _gather(s, ended, sums, change)
        blocks, found = sums.blocks("sum"), []
        of_layer = {sandwich.layer: sandwich for sandwich in sandwiches}
        for layer in layers:
            step = _method(s).precondition(blocks[layer].factors, blocks[layer].integrals.sum((0, 1)), 0.0)
            found.append((of_layer[layer].back(step) if between else step).numpy().ravel())
        return np.concatenate(found)

    return ladder(subject, lambda s: steps(s, True)), ladder(subject, lambda s: steps(s, False))
