"""A dense network of any depth: the inner network of most neural ODEs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .assembly import Assembly
from .field import AnyArray, Jet
from .functions import ACTIVATIONS
from .pulled import Pulled


@dataclass(frozen=True)
class Mlp:
    """x_0 = (y, t);  u_l = W_l x_{l-1} + b_l;  x_l = s(u_l);  F = u_L (no activation at the end).

    inputs: components of y; outputs: components of F; hidden: widths of the hidden layers,
    () for an affine map. activation: a name out of ACTIVATIONS. time: whether t is an input,
    after those of y.
    theta = W_1.ravel(), b_1, W_2.ravel(), b_2, ... with W_l of shape (out, in).
    With outputs == inputs it is a vector field.
    """

    inputs: int
    outputs: int
    hidden: tuple[int, ...] = ()
    activation: str = "tanh"
    time: bool = False

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation {self.activation!r}; the known ones are {sorted(ACTIVATIONS)}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Sizes of x_0, ..., x_L."""
        return (self.inputs + int(self.time), *self.hidden, self.outputs)

    @property
    def params(self) -> int:
        return _layers(self)[-1].bias.stop

    @property
    def state(self) -> int:
        if self.inputs != self.outputs:
            raise ValueError(f"a network from {self.inputs} to {self.outputs} numbers is no vector field by itself")
        return self.inputs

    @property
    def parts(self) -> Mapping[str, slice]:
        return {"h": slice(0, self.state)}

    def layers(self) -> Iterator[tuple[slice, slice]]:
        """Where W_l and b_l sit in theta."""
        start = 0
        for wide, out in zip(self.widths, self.widths[1:], strict=False):
            middle = start + wide * out
            yield slice(start, middle), slice(middle, middle + out)
            start = middle + out

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        out = Assembly(t, y, theta, self.outputs, order)
        forward = _Forward(self, out)
        out.value += forward.u[-1]
        if order > 0:
            out.first += forward.du[-1]
        if order > 1:
            self._second(out, forward)
        return out.jet()

    def pull(self, t: Any, y: AnyArray, theta: AnyArray, a: AnyArray) -> Pulled:
        """F and its derivatives times a cotangent, layer by layer from the last: see `pulled.pull`."""
        forward = _Forward(self, Assembly(t, y, theta, self.outputs, 0))
        parts = list[AnyArray]()
        for x, g in self._back(forward, a):
            parts += [g.sum(axis=0), (g.T @ x).ravel()]
            a = g
        back = a @ forward.weight[0]
        of_time = back[:, self.inputs] if self.time else back[:, 0] * 0
        return Pulled(forward.u[-1], of_time, back[:, : self.inputs], np.concatenate(parts[::-1]))

    def calls(self, t: Any, y: AnyArray, theta: AnyArray, a: AnyArray) -> list[tuple[AnyArray, AnyArray]]:
        """What enters each layer, x_{l-1} (batch, in), and the cotangent aᵀ dF/du_l of what leaves it, (batch, out).

        Args:
            t: a number.
            y: (batch, inputs).
            theta: (params,).
            a: (batch, outputs).
        """
        return [*self._back(_Forward(self, Assembly(t, y, theta, self.outputs, 0)), a)][::-1]

    def _back(self, forward: _Forward, a: AnyArray) -> Iterator[tuple[AnyArray, AnyArray]]:
        """x_{l-1} and aᵀ dF/du_l, from the last layer to the first."""
        slopes = ACTIVATIONS[self.activation].first
        for layer in reversed(range(len(forward.u))):
            if layer < len(self.hidden):
                a = a @ forward.weight[layer + 1] * slopes(forward.u[layer])
            yield forward.x[layer], a

    def _second(self, out: Assembly, forward: _Forward) -> None:
        """F_k,pq from the only two things that bend: the activations, and the products W_l x_{l-1}.

        With g_ki = dF_k / du_l,i, layer l contributes  sum_ij g_ki (dW_ij/dz_p dx_j/dz_q + p <-> q),
        and its activation  sum_j (dF_k / dx_l,j) s''(u_l,j) du_l,j/dz_p du_l,j/dz_q.
        """
        batch, outputs = out.value.shape
        # g, starting with F = u_L: (batch, outputs, width of u_l)
        to_output: AnyArray = np.eye(outputs) + 0 * out.value[:, :, None]
        for layer in reversed(range(len(forward.u))):
            product = to_output[:, :, :, None, None] * forward.dx[layer][:, None, None]  # (batch, k, i, j, q)
            block = product.reshape(batch, outputs, -1, out.size)
            of_weight = forward.at[layer].of_weight
            out.second[:, :, of_weight] += block
            out.second[:, :, :, of_weight] += np.swapaxes(block, -1, -2)
            if layer == 0:
                return
            to_x = to_output @ forward.weight[layer]  # dF_k / dx_{l-1}
            du = forward.du[layer - 1][:, None]
            bend = to_x * forward.bend[layer - 1][:, None]
            out.second += np.swapaxes(bend[..., None] * du, -1, -2) @ du
            to_output = to_x * forward.slope[layer - 1][:, None]


class _Layer(NamedTuple):
    """Where one layer sits: W_l (out, in) and b_l in theta, and among the components of z."""

    shape: tuple[int, int]
    weight: slice
    bias: slice
    of_weight: slice
    of_bias: slice


@lru_cache(maxsize=256)
def _layers(net: Mlp) -> tuple[_Layer, ...]:
    found, before = list[_Layer](), 1 + net.inputs
    for weight, bias in net.layers():
        out = bias.stop - bias.start
        places = (slice(before + part.start, before + part.stop) for part in (weight, bias))
        found.append(_Layer((out, (weight.stop - weight.start) // out), weight, bias, *places))
    return tuple(found)


class _Forward:
    """The layers' values and first derivatives: x[l] enters layer l, u[l] leaves it before the activation."""

    def __init__(self, net: Mlp, out: Assembly) -> None:
        s = ACTIVATIONS[net.activation]
        self.at = _layers(net)
        self.x: list[AnyArray] = []
        self.u: list[AnyArray] = []
        self.dx: list[AnyArray] = []
        self.du: list[AnyArray] = []
        self.slope: list[AnyArray] = []
        self.bend: list[AnyArray] = []
        self.weight: list[AnyArray] = []
        x, dx = _inputs(net, out)
        for layer, at in enumerate(self.at):
            weight = out.theta[at.weight].reshape(at.shape)
            u = x @ weight.T + out.theta[at.bias]
            self.x.append(x)
            self.u.append(u)
            self.weight.append(weight)
            if out.order > 0:
                du: AnyArray = weight @ dx
                _add_own(du, at, x)
                self.dx.append(dx)
                self.du.append(du)
            if layer == len(net.hidden):
                return
            x = s.value(u)
            if out.order > 0:
                self.slope.append(s.first(u))
                dx = self.slope[-1][:, :, None] * self.du[-1]
            if out.order > 1:
                self.bend.append(s.second(u))


def _add_own(du: AnyArray, at: _Layer, x: AnyArray) -> None:
    """du += what a layer's own parameters do: x_j on W_ij, 1 on b_i; through views of diagonals."""
    of_bias = np.einsum("bii->bi", du[:, :, at.of_bias])
    of_bias += 1
    of_weight = du[:, :, at.of_weight]
    of_weight = np.einsum("biij->bij", of_weight.reshape(*of_weight.shape[:2], *at.shape))
    of_weight += x[:, None, :]


def _inputs(net: Mlp, out: Assembly) -> tuple[AnyArray, AnyArray]:
    """x_0 = (y, t) and its derivative in z, a selection of components."""
    batch, inputs = len(out.y), net.inputs + int(net.time)
    x = np.empty((batch, inputs), dtype=out.y.dtype)
    x[:, : net.inputs] = out.y
    x[:, net.inputs :] = out.t
    if out.order == 0:
        return x, x[:, :, None]  # nobody asks
    dx = out.zeros(batch, inputs, out.size)
    of_y = np.einsum("bii->bi", dx[:, : net.inputs, 1 : 1 + net.inputs])
    of_y += 1
    dx[:, net.inputs :, 0] += 1
    return x, dx


EXAMPLES: Mapping[str, Mlp] = {
    "affine network": Mlp(2, 2),
    "deep network": Mlp(2, 2, (4, 3, 2)),
    **{f"network {name}": Mlp(2, 2, (3, 4), name, time=True) for name in ACTIVATIONS},
}
