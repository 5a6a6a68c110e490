"""What is compared with diffrax: its own steps of the same dense field, differentiated and compiled by jax."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import torch
from torch import Tensor, nn

RTOL, ATOL = 1e-6, 1e-9


def _loss_of(is_cuda: bool, net: nn.Sequential, until: float, timed: bool) -> tuple[Any, Any, Any] | None:
    """(jax, the weights, loss(weights, y0)); None where diffrax is not installed for this device."""
    try:
        import diffrax
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    if is_cuda != (jax.default_backend() == "gpu"):
        return None  # a CPU's time is none of a GPU's
    jax.config.update("jax_enable_x64", True)
    weights = [jnp.array(p.detach().cpu()) for p in net.parameters()]

    def field(t, y, w):  # type: ignore[no-untyped-def]
        if timed:
            y = jnp.concatenate([y, jnp.full((*y.shape[:-1], 1), t)], -1)
        for i in range(0, len(w) - 2, 2):
            y = jnp.tanh(y @ w[i].T + w[i + 1])
        return y @ w[-2].T + w[-1]

    def loss(w, y):  # type: ignore[no-untyped-def]
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            diffrax.Dopri5(),
            0.0,
            until,
            None,
            y,
            args=w,
            adjoint=diffrax.DirectAdjoint(),
            stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=ATOL),
            max_steps=64,
        )
        y1 = found.ys[-1]  # type: ignore[index]
        return (y1**2).mean() + (y1**4).mean()

    return jax, weights, loss


def _back(jax: Any, found: Any) -> list[Tensor]:
    return [torch.tensor(jax.device_get(part.block_until_ready())) for part in found]


def product(net: nn.Sequential, y0: Tensor, v: Tensor, u: list[Tensor]) -> Callable[[], Tensor] | None:
    """The product with one direction in (y0, theta), forward over reverse; flat, y0 first."""
    made = _loss_of(y0.is_cuda, net, 2.0, timed=False)
    if made is None:
        return None
    jax, weights, loss = made
    at = weights, jax.numpy.array(y0.cpu())
    along = [jax.numpy.array(x.cpu()) for x in u], jax.numpy.array(v.cpu())
    run = jax.jit(lambda at, along: jax.jvp(jax.grad(lambda x: loss(*x)), (at,), (along,))[1])

    def subject() -> Tensor:
        in_theta, in_y0 = run(at, along)
        return torch.cat([part.flatten() for part in _back(jax, [in_y0, *in_theta])])

    return subject


def hessian_y0(net: nn.Sequential, y0: Tensor) -> Callable[[], Tensor] | None:
    """The Hessian in y0, a matrix."""
    made = _loss_of(y0.is_cuda, net, 2.0, timed=False)
    if made is None:
        return None
    jax, weights, loss = made
    run, at = jax.jit(jax.hessian(loss, argnums=1)), jax.numpy.array(y0[0].cpu())
    return lambda: _back(jax, [run(weights, at)])[0]


def hessian_theta(net: nn.Sequential, y0: Tensor, until: float) -> Callable[[], Tensor] | None:
    """The Hessian in theta, a matrix, of a field that takes time as its last input."""
    made = _loss_of(y0.is_cuda, net, until, timed=True)
    if made is None:
        return None
    jax, weights, loss = made
    from jax.flatten_util import ravel_pytree

    flat, unflat = ravel_pytree(weights)
    run, at = jax.jit(jax.hessian(lambda w: loss(unflat(w), at))), jax.numpy.array(y0.cpu())
    return lambda: _back(jax, [run(flat)])[0]
