"""One call for the factors of every layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from .collector import Gather, Which
from .factors import Factors, KroneckerSums, Reduction
from .samples import Told


def kronecker_factors(
    model: nn.Module,
    backward: Callable[[], object],
    *,
    layers: Which = "ode",
    reduction: Reduction = "mean",
    rank: int = 1,
    fields: Sequence[Callable] = (),
    samples: Told = None,
) -> dict[str, Factors]:
    """Name of each layer → its factors A and B, gathered while `backward()` runs.

    Args:
        model: a module that holds ODE fields.
        backward: makes a forward pass, and `rank` backward passes: of the loss, or of one factor y_i of the Hessian of
            the loss after the other.
        layers: those of fields, or "all".
        reduction: of the loss over samples.
        rank: how many backward passes `backward` makes over the same samples.
        fields: fields that are not inside the model; a name of theirs that is taken becomes fields[i].name.
        samples: how many a solve has, or a function of its state, such as `len`. None: the length of the state's first
            axis (of tuples, of their parts with two axes or more), refused where calls of layers contradict it.

    Raises:
        CurvatureError: no adjoint solve was seen, or its steps have no quadrature weights, or weights were used without
            their layers being called.
        ValueError: layers share a weight and differ otherwise.

    Example:
        >>> import torch, torchdiffeq
        >>> field = torch.nn.Sequential(torch.nn.Linear(2, 2))
        >>> class Autonomous(torch.nn.Module):
        ...     def __init__(self): super().__init__(); self.net = field
        ...     def forward(self, t, y): return self.net(y)
        >>> f, y0, t = Autonomous(), torch.ones(3, 2), torch.tensor([0.0, 1.0])
        >>> loss = lambda: torchdiffeq.odeint_adjoint(f, y0, t)[-1].square().sum(1).mean()
        >>> found = kronecker_factors(f, lambda: loss().backward())
        >>> found["net.0"].A.shape, found["net.0"].B.shape
        (torch.Size([3, 3]), torch.Size([2, 2]))
    """
    gather = Gather(model, sums := KroneckerSums(), layers=layers, fields=fields, samples=samples)
    with gather:
        backward()
    gather.finish()
    found = sums.factors(along=gather.of_field, reduction=reduction, rank=rank)
    return {name: found[layer] for layer, name in gather.names.items() if layer in found}
