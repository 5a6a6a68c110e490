"""What an optimizer gathers: at each refresh anew, in fields and outside of them, and all of it (OPT-4 to OPT-6)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from odecheck_reference import Bounded, Problem
from odecheck_reference.bounded import Array
from torch import Tensor, nn

from odecheck.claim import claim
from odecheck.claims.shared.dense_steps import DAMPING, EPS, Compared, curvature_refused, matrix_of
from odecheck.claims.shared.kit import of_kit
from odecheck.claims.shared.observed_curvature import ended_problem, layers_of
from odecheck.curvature import Factors, Gather, KroneckerSums
from odecheck.engines.base import graph_of
from odecheck.errors import CurvatureError
from odecheck.mutants import optimizers as wrong
from odecheck.subject import Subject

PAPER = "arXiv:2109.14158: the preconditioned step"
# parameters and batches at three refreshes: the factor of all parameters, and rows
REFRESHES = ((1.0, 3), (1.25, 5), (0.5, 2))


def quadratic(y: Tensor) -> Tensor:
    """A loss of the last state that takes any number of rows: the mean over them."""
    return (y[-1] - 0.25).square().sum(dim=1).mean()


def rows_of(y0: Tensor, count: int) -> Tensor:
    """So many starts, all different."""
    scale = 1 + 0.3 * torch.arange(count, dtype=y0.dtype)[:, None]
    return y0[torch.arange(count) % len(y0)] / scale


def moved(module: nn.Module, by: float) -> None:
    """All parameters times a factor."""
    with torch.no_grad():
        for p in module.parameters():
            p.mul_(by)


@claim(
    "OPT-4",
    source=PAPER,
    resolution=1e-8,
    mutants=[wrong.STALE, wrong.ACCUMULATING, wrong.OLD_SPECTRUM, wrong.FIRST_BATCH, wrong.DAMPED_TWICE],
)
def each_refresh_begins_anew(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """At each of three refreshes the step is that of the parameters and the batch of that moment, of whatever size.

    Between them all parameters change, and the batch has three, five and two rows. A and B are gathered a second time,
    on a copy of the module that no optimizer ever saw, for a loss that is a mean over rows.
    """
    ended = ended_problem(problem)

    def observe(module: nn.Module, y0: Tensor, ts: Tensor, _: Any) -> Compared:
        attached, compared, twin = graph_of(subject.engine).attached, Compared(), copy.deepcopy(module)
        layers, others = layers_of(module), layers_of(twin)
        optimizer = of_kit(subject, "optimizer")
        precondition = optimizer(module, damping=DAMPING, refresh=1, reduction="mean", spectrum="factors")
        for by, count in REFRESHES:
            start = rows_of(y0, count)
            for one in (module, twin):
                moved(one, by)
                one.zero_grad()
            sums = KroneckerSums()
            with (gather := Gather(twin, sums)):
                quadratic(attached(twin, subject.solver, start, ts)).backward()
            gather.finish()
            factors = sums.factors(along=set(others), reduction="mean", rank=1)
            quadratic(attached(module, subject.solver, start, ts)).backward()
            precondition.step()
            for layer, other in zip(layers, others, strict=True):
                compared.expect(factors[other], matrix_of(other))
                compared.observe(layer)
        return compared

    with curvature_refused():
        return subject.observe(ended, observe).both


class _Model(nn.Module):
    """A layer, a solve, and another layer on its last state."""

    def __init__(self, field: nn.Module, solve: Callable[[nn.Module, Tensor], Tensor], state: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.before, self.after = (nn.Linear(state, state).double() for _ in range(2))
        with torch.no_grad():
            for p in (*self.before.parameters(), *self.after.parameters()):
                p.copy_(0.7 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
        self.field, self.solve = field, solve

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.solve(self.field, torch.tanh(self.before(x)))[-1])[None]


@contextmanager
def _caught(layers: list[nn.Linear]) -> Generator[dict[nn.Linear, tuple[Tensor, Tensor]]]:
    """Input and gradient of the output of each layer, by hooks of our own."""
    caught: dict[nn.Linear, tuple[Tensor, Tensor]] = {}

    def see(layer: nn.Linear) -> Callable[..., None]:
        def hook(_layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            def keep(g: Tensor) -> None:
                caught[layer] = inputs[0].detach(), g

            output.register_hook(keep)

        return hook

    handles = [layer.register_forward_hook(see(layer)) for layer in layers]
    try:
        yield caught
    finally:
        for handle in handles:
            handle.remove()


def _plain_factors(z: Tensor, g: Tensor) -> Factors:
    """E z zᵀ and E g gᵀ of single samples, of the gradient g of a mean over them."""
    z = torch.cat([z, torch.ones(len(z), 1, dtype=z.dtype)], dim=1)
    return Factors(z.T @ z / len(z), len(g) * g.T @ g)


@claim("OPT-5", source=PAPER, resolution=1e-8, mutants=[wrong.EVERYWHERE, wrong.INSIDE_ALONE, wrong.IDLE])
def layers_outside_of_the_solve(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Layers before and after a solve keep their gradients where fields alone were asked for (`layers="ode"`).

    Where all layers were (`layers="all"`), their step is (A ⊗ B + ε I)⁻¹ vec G as well, with A = E z zᵀ and B = E g gᵀ
    of their input z and the gradient g of their output, caught by hooks of the claim's own.
    """
    ended = ended_problem(problem)

    def observe(module: nn.Module, y0: Tensor, ts: Tensor, _: Any) -> Compared:
        compared, start = Compared(), rows_of(y0, 3)

        def solve(field: nn.Module, y: Tensor) -> Tensor:
            return graph_of(subject.engine).attached(field, subject.solver, y, ts)

        for which in ("ode", "all"):
            model = _Model(copy.deepcopy(module), solve, y0.shape[1])
            layers_of(model.field)
            outside = [model.before, model.after]
            optimizer = of_kit(subject, "optimizer")
            options = {"damping": DAMPING, "refresh": 1, "reduction": "mean", "spectrum": "factors"}
            precondition = optimizer(model, layers=which, **options)
            with _caught(outside) as caught:
                quadratic(model(start)).backward()
            for layer in outside:
                if which == "ode":
                    compared.unchanged(matrix_of(layer))
                else:
                    compared.expect(_plain_factors(*caught[layer]), matrix_of(layer))
            precondition.step()
            for layer in outside:
                compared.observe(layer)
        return compared

    with curvature_refused():
        return subject.observe(ended, observe).both


class _Tied(nn.Module):
    """A field that uses the weight of a layer a second time, without calling it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        weight = layers_of(self.inner)[0].weight
        return self.inner(t, y) + 0.1 * weight.sum() * y


@claim(
    "OPT-6",
    source="the chain rule of a layer h = W z + b: dL/dW = ∫ g zᵀ dt",
    resolution=1e-8,
    mutants=[wrong.HALVED, wrong.FORGETFUL],
)
def what_is_gathered_is_the_gradient(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """What is gathered of a layer adds up to its gradient, Σ_n ∫ g_n z_nᵀ dt = dL/d(W, b), or the layer is refused.

    Asked of the field as it is, and of one that uses a weight a second time without calling its layer, of which the
    collector sees a part alone. Both are sums of the same rounded terms along the same solve.
    """
    ended = ended_problem(problem)

    def observe(module: nn.Module, y0: Tensor, ts: Tensor, loss: Any) -> tuple[list[Array], list[Array]]:
        seen: list[Array] = []
        right: list[Array] = []
        for tied in (False, True):
            inner = copy.deepcopy(module)
            field, layers = _Tied(inner) if tied else inner, layers_of(inner)
            single = of_kit(subject, "samples")()
            gather = Gather(field, single)
            try:
                with gather:
                    loss(graph_of(subject.engine).attached(field, subject.solver, y0, ts)).backward()
                gather.finish()
            except CurvatureError:
                if tied:
                    continue
                raise
            blocks = single.blocks("sum")
            for layer in layers:
                slope = matrix_of(layer)
                size = float(np.max(np.abs(slope))) or 1.0
                seen.append(blocks[layer].integrals.sum((0, 1)).numpy().ravel() / size)
                right.append(slope.ravel() / size)
        return seen, right

    with curvature_refused():
        seen, right = subject.observe(ended, observe)
    expected = np.concatenate(right)
    return Bounded(np.concatenate(seen)), Bounded(expected, {"round-off": np.full(len(expected), 4096 * EPS)})
