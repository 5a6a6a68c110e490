"""What one layer inside a field contributes to the Gauss–Newton matrix (SNOPT-5, arXiv:2109.14158)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from odecheck_reference import Bounded, Problem, solution
from odecheck_reference.bounded import Array
from odecheck_reference.flat import is_large
from odecheck_reference.flow import Trajectory, bounded
from torch import Tensor, nn

from odecheck.claim import claim
from odecheck.claims.shared.terminal import drawn_factors, factor_rows, first_row, terminal, true_factor_rows
from odecheck.errors import NotApplicable
from odecheck.mutants import derivatives as wrong
from odecheck.refinement import ladder
from odecheck.subject import Subject, tensor, to_numpy

from .snopt import PAPER


class LayerIntegrals(nn.Module):
    """(y, q, G)' = (F, −F_yᵀq, −g zᵀ) with g = (∂F/∂h)ᵀq, for every linear layer h = W z + b of a field.

    State of a row: y (d), q (d), then one G (outputs · inputs) for each layer.

    Args:
        inner: The field, called as module(t, y).
        layers: Its linear layers.
        d: Components of the state y.
    """

    def __init__(self, inner: nn.Module, layers: list[nn.Linear], d: int) -> None:
        super().__init__()
        self.inner, self.layers, self.d = inner, layers, d

    def forward(self, t: Tensor, state: Tensor) -> Tensor:
        """The slopes of y, q and all G, side by side in each row."""
        y, q = state[:, : self.d], state[:, self.d : 2 * self.d]
        seen: list[tuple[Tensor, Tensor]] = []

        def see(_layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen.append((inputs[0], output))

        handles = [layer.register_forward_hook(see) for layer in self.layers]
        try:
            with torch.enable_grad():
                y = y.detach().requires_grad_()
                value = self.inner(t, y)
                pulled = torch.autograd.grad(value, [y, *(h for _, h in seen)], q)
        finally:
            for handle in handles:
                handle.remove()
        blocks = [-(g[:, :, None] * z[:, None, :]).flatten(1) for g, (z, _) in zip(pulled[1:], seen, strict=True)]
        return torch.cat([value, -pulled[0], *blocks], dim=1).detach()


@claim(
    "SNOPT-5",
    source=f"{PAPER}: factors of one layer",
    resolution=1e-5,
    mutants=[wrong.SCALED_FIELD, wrong.FROZEN_TIME, wrong.WRONG_INTERVAL],
)
def layer_factors(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """For a layer h = W z + b inside the field, the W block of p_i is ∫ g_i zᵀ dt with g_i = (∂F/∂h)ᵀ q_i.

    So its block of Q_θθ is Σ_i vec(∫ g_i zᵀ dt) vec(∫ g_i zᵀ dt)ᵀ. The subject solves for q_i and the integral
    together, backwards from the reference's end; the reference has y_iᵀ ∂y(T)/∂W from forward sensitivities. Of a large
    field two factors of one row are asked for, and the reference has them from its adjoint.
    """
    ended = terminal(problem)
    module = subject.module(ended)
    layers = [m for m in module.modules() if isinstance(m, nn.Linear)]
    if not layers:
        raise NotApplicable("the field has no linear layer")
    only_in_layers(module, layers, ended)
    drawn = None
    if is_large(ended):
        ended = first_row(ended)
        drawn = drawn_factors(ended)
    end = solution(ended).value[-1]
    rows = factor_rows(ended.loss, end)
    rows = rows if drawn is None else rows[:, drawn]
    rank, d = rows.shape[1], ended.field.state
    kept = _places(module, layers) + d
    size = sum(layer.weight.numel() for layer in layers)
    start = np.concatenate(
        [np.repeat(end, rank, axis=0), rows.reshape(-1, d), np.zeros((rank * len(end), size))], axis=1
    )
    back = tensor(ended.ts[[-1, 0]].copy())

    def observe(s: Subject) -> Array:
        def solve(m: nn.Module, _y0: Tensor, _ts: Tensor, _loss: object) -> Tensor:
            inside = [x for x in m.modules() if isinstance(x, nn.Linear)]
            return s.engine.solution(LayerIntegrals(m, inside, d), s.solver, tensor(start), back)

        return to_numpy(s.observe(ended, solve))[-1, :, 2 * d :]

    def truth(run: Trajectory) -> Array:
        assert run.first is not None
        return (rows @ run.first[-1])[:, :, kept].reshape(rank * len(end), -1)

    if drawn is not None:
        found = true_factor_rows(ended, drawn)
        radius = found.radius[:, :, kept].reshape(rank, -1)
        return ladder(subject, observe), Bounded(found.value[:, :, kept].reshape(rank, -1), {"adjoint": radius})
    return ladder(subject, observe), bounded(ended, 1, truth)


def only_in_layers(module: nn.Module, layers: list[nn.Linear], problem: Problem) -> None:
    """Raises NotApplicable unless the weights of these layers act through h = W z + b alone.

    Then the derivative of F·q in a weight, at any state, is Σ g zᵀ over the layer's calls, to round-off. In a gradient
    flow −Wᵀ s(W y + b), say, it is not.
    """
    rng = np.random.default_rng(0)
    y, q = (tensor(rng.standard_normal(problem.y0.shape)) for _ in range(2))
    y, calls = y.requires_grad_(), list[tuple[nn.Module, Tensor, Tensor]]()

    def see(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls.append((layer, inputs[0], output))

    handles = [layer.register_forward_hook(see) for layer in layers]
    try:
        pulled = (module(tensor(problem.ts[0]), y) * q).sum()
    finally:
        for handle in handles:
            handle.remove()
    if any(z.ndim < 2 for _, z, _ in calls):
        raise NotApplicable("a linear layer is called without a batch axis, of which curvature is a mean")
    weights = [layer.weight for layer in layers]
    whole = torch.autograd.grad(pulled, [*weights, *(h for _, _, h in calls)], allow_unused=True)
    parts = {id(layer): torch.zeros_like(layer.weight) for layer in layers}
    for (layer, z, _), g in zip(calls, whole[len(weights) :], strict=True):
        if g is not None:
            parts[id(layer)] += g.flatten(0, -2).T @ z.flatten(0, -2)
    for layer, w in zip(layers, whole, strict=False):
        if not torch.allclose(
            parts[id(layer)], torch.zeros_like(layer.weight) if w is None else w, rtol=1e-9, atol=1e-12
        ):
            raise NotApplicable("a linear layer's weight enters the field in another way too than h = W z + b")


def _places(module: nn.Module, layers: list[nn.Linear]) -> NDArray[np.intp]:
    """Where the weights of the layers, one after the other, sit in theta."""
    offsets: dict[int, int] = {}
    total = 0
    for parameter in module.parameters():
        offsets[id(parameter)] = total
        total += parameter.numel()
    return np.concatenate([offsets[id(x.weight)] + np.arange(x.weight.numel()) for x in layers])
