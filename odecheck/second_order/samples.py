"""A field seen one sample at a time, and as a function of the flat vector (x, θ)."""

from collections.abc import Callable

import torch
from torch import Tensor

from odecheck.ode.arguments import Start, start
from odecheck.ode.fields import Field, Leaves


class Samples:
    """The user's field as F(t, x, θ) for one x of shape (d,), with θ one vector.

    The state of the solve is (d,), or (batch, d) where samples do not influence each other.
    """

    def __init__(self, field: Callable, y0: Tensor, t: Tensor, running_cost: Callable | None, solver: dict):
        if not isinstance(y0, Tensor) or y0.dim() not in (1, 2):
            shape = tuple(y0.shape) if isinstance(y0, Tensor) else type(y0).__name__
            raise ValueError(
                f"y0 must be one tensor of shape (d,) or (batch, d), and is {shape}: concatenate a tuple, flatten a "
                "state of more axes, and undo it inside the field"
            )
        self.problem: Start = start(field, y0, t, running_cost=running_cost, **solver)
        self.base: Field = self.problem.flow.field
        self.batched = y0.dim() == 2
        self.d = y0.shape[-1]
        self.wanted = self.problem.wanted
        self.shapes = [self.problem.inputs[i].shape for i in self.wanted]
        self.n = sum(shape.numel() for shape in self.shapes)
        if self.batched:
            self._refuse_coupled_samples(y0.detach(), t[0].detach())

    def theta(self, p: Leaves) -> Tensor:
        """The parameters that require gradients, flat, in the field's order: (n,)."""
        empty = self.problem.y0[0].new_zeros(0)
        return torch.cat([empty, *(p[i].reshape(-1) for i in self.wanted)])

    def rates(self, t: Tensor, x: Tensor, theta: Tensor, p: Leaves) -> tuple[Tensor, Tensor]:
        """F (d,) and ℓ, a scalar, of one sample x (d,)."""
        full = list(p)
        parts = theta.split([shape.numel() for shape in self.shapes])
        for index, part, shape in zip(self.wanted, parts, self.shapes, strict=True):
            full[index] = part.view(shape)
        rate, *cost = self.base(t, [x[None] if self.batched else x], full)
        return rate[0] if self.batched else rate, cost[0] if cost else x.new_zeros(())

    def over(self, call: Callable) -> Callable:
        """`call` for every sample along the first axes, or for the only one."""
        return torch.func.vmap(call) if self.batched else call

    def _refuse_coupled_samples(self, y0: Tensor, t: Tensor) -> None:
        p = [x.detach() for x in self.problem.inputs]
        together = self.base(t, [y0], p)[0]
        alone = self.over(lambda x: self.rates(t, x, self.theta(p), p)[0])(y0)
        if not torch.allclose(together, alone, rtol=1e3 * torch.finfo(y0.dtype).eps, atol=1e-30):
            gap = (together - alone).abs().max().item()
            raise ValueError(
                f"the field's rate of a sample depends on the other samples (by up to {gap:.2g}), as a batch "
                "normalisation or an attention across the batch would make it. Blocks per sample do not exist "
                "then: flatten the batch into one state of shape (batch * d,)."
            )


def curvature_of_loss(loss: Callable, y: Tensor, batched: bool) -> tuple[Tensor, Tensor]:
    """Gradient of a loss of the solution and the diagonal blocks of its Hessian, one per time and sample.

    Args:
        loss: of y; a scalar.
        y: (times, d) or (times, batch, d).
        batched: whether y has a batch.

    Returns:
        the gradient, shaped like y, and the blocks, (times, d, d) or (times, batch, d, d).

    Raises:
        ValueError: if the loss couples times or samples, so that the blocks are not the whole Hessian.
    """
    gradient = torch.func.grad(loss)
    times, d = y.shape[0], y.shape[-1]

    def product(v: Tensor) -> Tensor:
        return torch.func.jvp(gradient, (y,), (v,))[1]

    def column(i: Tensor, k: Tensor) -> Tensor:
        """Blocks' k-th columns at time i, found for all samples at once."""
        along = torch.nn.functional.one_hot(i, times).to(y).view(-1, *[1] * (y.dim() - 1))
        unit = torch.nn.functional.one_hot(k, d).to(y)
        return (product(along * unit * torch.ones_like(y)) * along).sum(0)

    # a loss without curvature gives columns that are not batched, which torch.func only places right at axis 0
    over_k = torch.func.vmap(column, (None, 0))
    index = torch.arange(times, device=y.device), torch.arange(d, device=y.device)
    blocks = torch.func.vmap(over_k, (0, None))(*index).movedim(1, -1)
    probe = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(0)).to(y.device)
    whole, local = product(probe), (blocks @ probe[..., None])[..., 0]
    if not torch.allclose(whole, local, rtol=1e4 * torch.finfo(y.dtype).eps, atol=1e-12 * float(whole.abs().max())):
        what = "times or samples" if batched else "times"
        raise ValueError(
            f"the loss couples {what}, so that its Hessian is not made of one block for each. A sum over them is "
            "needed; hvp() takes any loss."
        )
    return gradient(y), (blocks + blocks.mT) / 2
