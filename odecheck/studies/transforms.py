"""What works: every way to ask for a derivative, on every library's solve, judged against the exact answer.

Run `python -m odecheck.studies.transforms [FILE]` to make the table again; libraries that are not installed say so.

The problem is y' = A y, y(T) = e^{AT} y0, with the scalar Σ y(T)³. torch.linalg.matrix_exp can be differentiated any
number of times, so the same transform applied to it is what each library should have given. All three, y0, A and T, are
differentiated at once where a row does not say otherwise: a library that has no derivative in T fails the row.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from odecheck.compat import tree_leaves

TOLERANCE = {"rtol": 1e-9, "atol": 1e-11}
CLOSE = 1e-5
MATRIX = torch.tensor([[-0.3, 1.1], [-0.8, 0.2]], dtype=torch.float64)
START = torch.tensor([0.7, -0.4], dtype=torch.float64)
END = torch.tensor(1.3, dtype=torch.float64)
ARGUMENTS = (START, MATRIX, END)
DIRECTION = tuple(torch.cos(torch.arange(x.numel(), dtype=x.dtype)).reshape(x.shape) for x in ARGUMENTS)

Scalar = Callable[..., Tensor]


class Linear(nn.Module):
    """t, y ↦ A y."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(MATRIX.clone())

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return y @ self.matrix.T


class Model(nn.Module):
    """y0, T ↦ Σ y(T)³ through a library's solve."""

    def __init__(self, solve: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.field, self.solve = Linear(), solve

    def forward(self, y0: Tensor, end: Tensor) -> Tensor:
        times = torch.stack([torch.zeros_like(end), end])
        return (self.solve(self.field, y0, times) ** 3).sum()


class Handed:
    """(y0, A, T) ↦ Σ y(T)³, the matrix handed in as the module's parameter."""

    def __init__(self, solve: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> None:
        self.model = Model(solve)

    def __call__(self, y0: Tensor, matrix: Tensor, end: Tensor) -> Tensor:
        return functional_call(self.model, {"field.matrix": matrix}, (y0, end))


def exact(y0: Tensor, matrix: Tensor, end: Tensor) -> Tensor:
    return ((torch.linalg.matrix_exp(matrix * end) @ y0) ** 3).sum()


# --- the transforms ----------------------------------------------------------------------------------------------


def _leaves() -> list[Tensor]:
    return [x.clone().requires_grad_() for x in ARGUMENTS]


def _flat(parts: Any) -> Tensor:
    leaves = tree_leaves(parts)
    return torch.cat([x.detach().reshape(-1) for x in leaves])


def _called(f: Scalar) -> tuple[Tensor, list[Tensor]]:
    """The value and what to differentiate it in: the ordinary way, a module with a parameter of its own."""
    leaves = _leaves()
    if isinstance(f, Handed):
        leaves[1] = f.model.field.matrix
        return f.model(leaves[0], leaves[2]), leaves
    return f(*leaves), leaves


def _backward(f: Scalar) -> Tensor:
    return _flat(torch.autograd.grad(*_called(f)))


def _backward_handed(f: Scalar) -> Tensor:
    leaves = _leaves()
    found = torch.autograd.grad(f(*leaves), leaves, allow_unused=True)
    return _flat([torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)])


def _double_backward(f: Scalar) -> Tensor:
    value, leaves = _called(f)
    first = torch.autograd.grad(value, leaves, create_graph=True)
    along = sum((g * d).sum() for g, d in zip(first, DIRECTION, strict=True))
    return _flat(torch.autograd.grad(along, leaves))  # type: ignore[arg-type]


def _dual_numbers(f: Scalar) -> Tensor:
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(x.clone(), d) for x, d in zip(ARGUMENTS, DIRECTION, strict=True)]
        tangent = forward_ad.unpack_dual(f(*duals)).tangent
    if tangent is None:
        raise RuntimeError("no tangent came out")
    return _flat(tangent)


def _batch(x: Tensor) -> Tensor:
    return torch.stack([x, 0.9 * x, 1.1 * x])


ALL = (0, 1, 2)
TRANSFORMS: dict[str, Callable[[Scalar], Tensor]] = {
    "backward": _backward,
    "backward through functional_call": _backward_handed,
    "double backward": _double_backward,
    "autograd.functional.hessian": lambda f: _flat(
        torch.autograd.functional.hessian(lambda y: f(y, MATRIX, END), START)
    ),
    "func.grad": lambda f: _flat(grad(f, ALL)(*ARGUMENTS)),
    "func.vjp": lambda f: _flat(vjp(f, *ARGUMENTS)[1](torch.ones((), dtype=torch.float64))),
    "func.jvp": lambda f: _flat(jvp(f, ARGUMENTS, DIRECTION)[1]),
    "func.jacrev": lambda f: _flat(jacrev(f, ALL)(*ARGUMENTS)),
    "func.jacfwd": lambda f: _flat(jacfwd(f, ALL)(*ARGUMENTS)),
    "func.hessian": lambda f: _flat(hessian(f, ALL)(*ARGUMENTS)),
    "jvp of grad": lambda f: _flat(jvp(grad(f, ALL), ARGUMENTS, DIRECTION)[1]),
    "grad of jvp": lambda f: _flat(grad(lambda *a: jvp(f, a, DIRECTION)[1], ALL)(*ARGUMENTS)),
    "vmap over y0": lambda f: _flat(vmap(f, (0, None, None))(_batch(START), MATRIX, END)),
    "vmap over parameters": lambda f: _flat(vmap(f, (None, 0, None))(START, _batch(MATRIX), END)),
    "vmap of grad": lambda f: _flat(vmap(grad(f, ALL), (0, None, None))(_batch(START), MATRIX, END)),
    "dual numbers": _dual_numbers,
}


def outcome(transform: Callable[[Scalar], Tensor], function: Scalar) -> str:
    """right, wrong (with the relative error), or the kind of error that says it cannot."""
    truth = transform(exact)
    try:
        got = transform(function)
    except Exception as error:  # whatever a library raises
        return f"error ({type(error).__name__})"
    return _verdict(got.numpy(), truth.numpy())


def _verdict(got: Any, truth: Any) -> str:
    if got.shape != truth.shape:
        return "wrong (shape)"
    off = float(np.max(np.abs(got - truth)) / np.max(np.abs(truth)))
    if not np.any(got):
        return "wrong (all zero)"
    return "right" if off < CLOSE else f"wrong ({off:.0e})"


# --- the libraries -----------------------------------------------------------------------------------------------


def _torch_libraries() -> dict[str, Callable[[nn.Module, Tensor, Tensor], Tensor] | None]:
    import torchdiffeq

    from odecheck.ode import odeint

    def through(function: Callable[..., Any]) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
        return lambda field, y0, times: function(field, y0, times, method="dopri5", **TOLERANCE)[-1]

    return {
        "odecheck.odeint": through(odeint),
        "torchdiffeq.odeint": through(torchdiffeq.odeint),
        "torchdiffeq.odeint_adjoint": through(torchdiffeq.odeint_adjoint),
        "torchode AutoDiff": _torchode("AutoDiffAdjoint"),
        "torchode Backsolve": _torchode("BacksolveAdjoint"),
    }


def _torchode(adjoint: str) -> Callable[[nn.Module, Tensor, Tensor], Tensor] | None:
    if find_spec("torchode") is None:
        return None
    torchode: Any = import_module("torchode")

    def solve(field: nn.Module, y0: Tensor, times: Tensor) -> Tensor:
        term = torchode.ODETerm(field)
        method = torchode.Dopri5(term=term)
        control = torchode.IntegralController(term=term, **TOLERANCE)
        problem = torchode.InitialValueProblem(y0=y0[None], t_start=times[:1], t_end=times[1:])
        asked = (method, control) if adjoint == "AutoDiffAdjoint" else (term, method, control)
        return getattr(torchode, adjoint)(*asked).solve(problem).ys[0, -1]

    return solve


def diffrax_column(adjoint: str) -> dict[str, str]:
    """The same questions to diffrax with one of its adjoints, through jax's transforms of the same names."""
    diffrax: Any = import_module("diffrax")
    jax: Any = import_module("jax")
    jnp: Any = import_module("jax.numpy")

    jax.config.update("jax_enable_x64", True)
    arguments = tuple(jnp.asarray(x.numpy()) for x in ARGUMENTS)
    direction = tuple(jnp.asarray(x.numpy()) for x in DIRECTION)
    term = diffrax.ODETerm(lambda t, y, matrix: matrix @ y)

    def f(y0: Any, matrix: Any, end: Any) -> Any:
        how = diffrax.PIDController(**TOLERANCE)
        got = diffrax.diffeqsolve(
            term,
            diffrax.Dopri5(),
            0.0,
            end,
            0.01,
            y0,
            matrix,
            stepsize_controller=how,
            adjoint=getattr(diffrax, adjoint)(),
        )
        return (got.ys[-1] ** 3).sum()

    def batch(x: Any) -> Any:
        return jnp.stack([x, 0.9 * x, 1.1 * x])

    y0, matrix, end = arguments
    asked: dict[str, Callable[[], Any]] = {
        "func.grad": lambda: jax.grad(f, ALL)(*arguments),
        "func.vjp": lambda: jax.vjp(f, *arguments)[1](jnp.ones(())),
        "func.jvp": lambda: jax.jvp(f, arguments, direction)[1],
        "func.jacrev": lambda: jax.jacrev(f, ALL)(*arguments),
        "func.jacfwd": lambda: jax.jacfwd(f, ALL)(*arguments),
        "func.hessian": lambda: jax.hessian(f, ALL)(*arguments),
        "jvp of grad": lambda: jax.jvp(jax.grad(f, ALL), arguments, direction)[1],
        "grad of jvp": lambda: jax.grad(lambda *a: jax.jvp(f, a, direction)[1], ALL)(*arguments),
        "vmap over y0": lambda: jax.vmap(f, (0, None, None))(batch(y0), matrix, end),
        "vmap over parameters": lambda: jax.vmap(f, (None, 0, None))(y0, batch(matrix), end),
        "vmap of grad": lambda: jax.vmap(jax.grad(f, ALL), (0, None, None))(batch(y0), matrix, end),
    }
    column: dict[str, str] = {}
    for name, ask in asked.items():
        try:
            got = np.concatenate([np.ravel(x) for x in jax.tree_util.tree_leaves(ask())])
        except Exception as error:  # whatever jax or diffrax raises
            column[name] = f"error ({type(error).__name__})"
            continue
        column[name] = _verdict(got, TRANSFORMS[name](exact).numpy())
    return column


def table() -> dict[str, dict[str, str]]:
    """library → transform → outcome."""
    columns: dict[str, dict[str, str]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for library, solve in _torch_libraries().items():
            if solve is None:
                columns[library] = dict.fromkeys(TRANSFORMS, "not installed")
                continue
            function = Handed(solve)
            columns[library] = {name: outcome(transform, function) for name, transform in TRANSFORMS.items()}
        for adjoint in ("RecursiveCheckpointAdjoint", "DirectAdjoint", "BacksolveAdjoint"):
            have = find_spec("diffrax") is not None
            found = diffrax_column(adjoint) if have else {}
            absent = "-" if have else "not installed"
            columns[f"diffrax {adjoint.removesuffix('Adjoint')}"] = {n: found.get(n, absent) for n in TRANSFORMS}
    return columns


def markdown(columns: dict[str, dict[str, str]]) -> str:
    """One row a transform, one column a library."""
    lines = ["| transform | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in TRANSFORMS:
        lines.append(f"| {name} | " + " | ".join(column[name] for column in columns.values()) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    text = markdown(table())
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)
    print(text)
