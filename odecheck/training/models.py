"""The papers' models around one inner network, as a layer: a state that begins with the input, a solve, a readout."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from odecheck.errors import BadInput
from odecheck.fields import GHBNODE, HBNODE, NODE, SONODE, AdamNODE, NODELayer
from odecheck.fields.layer import pick
from odecheck.fields.parts import PartedField

from .task import Setting

# inner(inputs, outputs) → f(t, h); begin(inputs, outputs) → what the input does not give of the first state
Network = Callable[[int, int], nn.Module]


def field_of(model: str, inner: Network, state: int, dim: int = -1, activation: nn.Module | None = None) -> PartedField:
    """The vector field of a model by its name. state: size of its position h; activation: s of GHBNODE.

    AdamNODE takes the denominator of its published code, which is defined for v < 0 too: an adjoint solve at a
    training tolerance does go there. Raises BadInput for an unknown model.
    """
    if model == "SONODE":
        return SONODE(inner(2 * state, state), dim=dim)
    f = inner(state, state)
    if model in ("NODE", "ANODE"):
        return NODE(f, dim=dim)
    if model == "HBNODE":
        return HBNODE(f, dim=dim)
    if model == "GHBNODE":
        return GHBNODE(f, activation=activation, dim=dim)
    if model == "AdamNODE":
        return AdamNODE(f, denominator="code", dim=dim)
    raise BadInput(f"there is no model {model!r}", "a misspelt name", "odecheck tasks, which lists them")


def parts_of(model: str) -> int:
    """How many parts of the size of the position a model's state has: h; h, m; h, m, v."""
    return {"NODE": 1, "ANODE": 1, "AdamNODE": 3}.get(model, 2)


class Begin(nn.Module):
    """x ↦ (x, net(x), 0, …) along `dim`: the first state. zeros: how many zeros."""

    def __init__(self, net: nn.Module | None, zeros: int, dim: int) -> None:
        super().__init__()
        self.net, self.zeros, self.dim = net, zeros, dim

    def forward(self, x: Tensor) -> Tensor:
        shape = list(x.shape)
        shape[self.dim] = self.zeros
        learnt = [] if self.net is None else [self.net(x)]
        return torch.cat([x, *learnt, x.new_zeros(shape)], dim=self.dim)


class Whole(nn.Module):
    """A field of named parts as a plain one: the layer then begins at the whole state, which `Begin` makes."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.inner(t, y)


class OdeNet(nn.Module):
    """x ↦ readout(position(y(1))), y' = field(t, y), y(0) = (x, learnt, 0).

    ANODE: h(0) is x and zeros. NODE: h(0) = x. The others have a position of `state` and a momentum, and what x
    does not give of these two is given by begin(inputs, outputs); AdamNODE's v starts at zero.
    """

    def __init__(
        self,
        model: str,
        setting: Setting,
        *,
        features: int,
        state: int,
        inner: Network,
        begin: Network,
        readout: nn.Module,
        dim: int = -1,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.parted = field_of(model, inner, state, dim, activation)
        whole = parts_of(model) * state
        learnt = 0 if parts_of(model) == 1 else 2 * state - features
        self.begin = Begin(begin(features, learnt) if learnt else None, whole - features - learnt, dim)
        self.layer = NODELayer(Whole(self.parted), solver=setting.solver, odeint=setting.odeint)
        self.readout = readout
        self.position = self.parted.parts.names[0]

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(pick(self.parted, self.position, self.layer(self.begin(x))))
