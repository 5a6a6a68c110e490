"""What the discrete twin is compared with: automatic differentiation through the same steps, unrolled."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn
from torchdiffeq import odeint

from odecheck.discrete import Trajectory, record

ROUND_OFF = 1e-12


class Net(nn.Module):
    """A dense field that depends on time, of any state (…, d)."""

    def __init__(self, d: int = 2, width: int = 4, activation: Callable[[], nn.Module] = nn.Tanh, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.net = nn.Sequential(nn.Linear(d + 1, width), activation(), nn.Linear(width, d)).double()

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.net(torch.cat([y, t.expand(*y.shape[:-1], 1)], dim=-1))


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def times(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def everywhere(outputs: Tensor) -> Tensor:
    """A loss that is not quadratic and uses every observation, the first one included."""
    weights = torch.linspace(0.5, 1.5, outputs.numel(), dtype=outputs.dtype).view(outputs.shape)
    return (weights * outputs.sin()).sum() ** 2 + 0.3 * (outputs**4).sum()


def unrolled(trajectory: Trajectory, y: Tensor) -> Tensor:
    """The recorded steps in plain automatic differentiation: y0 → (times, *state)."""
    tableau, stepper = trajectory.tableau, trajectory.stepper
    states, last = [y], None
    for h, at in zip(trajectory.sizes, trajectory.stage_times, strict=True):
        k: list[Tensor] = []
        for i in range(tableau.stages):
            if i == 0 and last is not None and tableau.first_stage != "fresh":
                k.append(last)
                continue
            point = y
            for a, slope in zip(tableau.a[i], k, strict=True):
                point = point + h * a * slope
            k.append(stepper.clock * stepper.field(torch.tensor(stepper.clock * at[i], dtype=y.dtype), point))
        for b, slope in zip(tableau.b, k, strict=True):
            y = y + h * b * slope
        last = k[-1]
        states.append(y)
    return torch.stack([states[i] for i in trajectory.observed])


def double_backward(
    solve: Callable[[Tensor], Tensor],
    loss: Callable[[Tensor], Tensor],
    y0: Tensor,
    parameters: Mapping[str, Tensor],
    direction: Mapping[str, Tensor],
) -> tuple[list[Tensor], list[Tensor]]:
    """([gradient in y0 and the parameters], [Hessian's product with the direction]) through solve(y0)."""
    inputs = [y0.clone().requires_grad_(), *parameters.values()]
    slopes = torch.autograd.grad(loss(solve(inputs[0])), inputs, create_graph=True)
    along = [direction["y0"], *(direction[name] for name in parameters)]
    products = torch.autograd.grad(slopes, inputs, along, allow_unused=True, materialize_grads=True)
    return [slope.detach() for slope in slopes], list(products)


def direction_of(trajectory: Trajectory, seed: int = 7) -> dict[str, Tensor]:
    parts = {"y0": draw(*trajectory.state_shape, seed=seed)}
    for i, (name, value) in enumerate(trajectory.parameters.items()):
        parts[name] = draw(*value.shape, seed=seed + 1 + i)
    return parts


def gap(found: list[Tensor], expected: list[Tensor]) -> float:
    """Largest difference over the largest expected number of each part."""
    gaps = [(a - b).abs().max() / b.abs().max().clamp_min(1e-300) for a, b in zip(found, expected, strict=True)]
    return float(torch.stack(gaps).max())


@pytest.mark.parametrize("method", ["euler", "midpoint", "heun2", "heun3", "rk4"])
def test_unrolled_steps_are_torchdiffeqs_in_value_gradient_and_second_derivative(method: str) -> None:
    field, y0, t = Net(), draw(3, 2), times(0.0, 0.3, 0.5, 0.6)
    trajectory = record(field, y0, t, method=method)
    direction = direction_of(trajectory)
    ours = double_backward(lambda y: unrolled(trajectory, y), everywhere, y0, trajectory.parameters, direction)
    theirs = double_backward(
        lambda y: odeint(field, y, t, method=method),
        everywhere,
        y0,
        trajectory.parameters,
        direction,  # type: ignore[arg-type]
    )
    assert gap(ours[0], theirs[0]) < ROUND_OFF
    assert gap(ours[1], theirs[1]) < ROUND_OFF
