"""A user's own diffrax solve as an engine: their function is called as it stands, and jax differentiates it."""

# pyright: standard
# (jax comes with partial types)
from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from odecheck.errors import BadInput, Unsupported
from odecheck.fields.callback import Flattened
from odecheck.fields.from_jax import FromJax, jax_double, pickled
from odecheck.fields.jax_state import Layout
from odecheck.foreign import words
from odecheck.instruments.metering import Meter, charge
from odecheck.instruments.told import listener
from odecheck.solvers import Solver

from .base import Derivatives, LossFn
from .diffrax_call import Call, OwnStep, OwnTolerance, calls_read
from .diffrax_program import NO_TIMES, arrays, tensor_of


def given_to(solve: Callable[..., Any], everything: dict[str, Any]) -> dict[str, Any]:
    """What a function takes of some named values.

    Args:
        solve: a user's function.
        everything: name → value.
    """
    taken = inspect.signature(solve).parameters
    return {name: value for name, value in everything.items() if name in taken}


@dataclass(frozen=True, eq=False)
class Program:
    """A user's solve as a function of arrays: (leaves, y (state,), ts (times,), how) → (states (times, state), steps).

    Attributes:
        function: the user's `solve`.
        field: the field and its args, whose parameters are `leaves`.
        layout: of the state that the function takes.
    """

    function: Callable[..., Any]
    field: FromJax
    layout: Layout

    def result(self, leaves: Any, y: Any, ts: Any, how: Any) -> Any:
        """What the function itself gives."""
        field, args = self.field.whole(leaves)
        everything = {"field": field, "y0": self.layout.state(y), "ts": ts, "args": args, **how}
        return self.function(**given_to(self.function, everything))

    def states(self, leaves: Any, y: Any, ts: Any, how: Any) -> Any:
        """The states, and the steps that were tried and accepted."""
        seen: list[dict[str, Any]] = []
        with calls_read(seen):
            found = self.result(leaves, y, ts, how)
        stats = seen[0]["gives"].stats
        return self.layout.rows(states_of(found), (len(ts),)), (stats["num_steps"], stats["num_accepted_steps"])

    def alone(self, leaves: Any, y: Any, ts: Any, how: Any) -> Any:
        """The states, and no steps."""
        return self.layout.rows(states_of(self.result(leaves, y, ts, how)), (len(ts),)), None


def states_of(result: Any) -> Any:
    """The states of what a function gave: a `diffrax.Solution`, or its `ys`."""
    return result.ys if hasattr(result, "stats") else result


@dataclass(frozen=True, eq=False)
class OwnSolve:
    """A user's own solve, differentiated by the adjoint that it has; the loss itself is differentiated by torch.

    Attributes:
        program: what is called.
        call: what its diffeqsolve is made of.
    """

    program: Program
    call: Call

    @property
    def name(self) -> str:
        """With the adjoint's class."""
        return f"own diffeqsolve, {self.call.adjoint}"

    @property
    def target(self) -> Literal["flow", "steps"]:
        """As `Engine.target`."""
        return self.call.target

    def __reduce__(self) -> tuple[Any, ...]:
        p = self.program
        return _made, (pickled((p.function, p.layout)), p.field, self.call)

    @cached_property
    def _compiled(self) -> dict[str, Any]:
        import equinox

        functions = {"slopes": self._slopes, "pushed": self._pushed, "curved": self._curved}
        functions["states"] = self.program.states if self.call.counts else self.program.alone
        return {name: equinox.filter_jit(f) for name, f in functions.items()}

    def _slopes(self, leaves: Any, y: Any, ts: Any, how: Any, cotangent: Any) -> Any:
        """Derivatives of cotangent · states in (leaves, y, ts), without ts where the adjoint refuses it."""
        jax = jax_double()
        if self.call.adjoint == "ForwardMode":

            def of(a: Any, b: Any, times: Any) -> Any:
                return self.program.alone(a, b, times, how)[0]

            moves = jax.jacfwd(of, argnums=(0, 1, 2))(leaves, y, ts)
            return jax.tree.map(lambda j: jax.numpy.tensordot(cotangent, j, cotangent.ndim), moves)
        variables: tuple[Any, ...] = (leaves, y) if self.call.adjoint == "BacksolveAdjoint" else (leaves, y, ts)
        return self._pull(variables, ts, how)(cotangent)

    def _pull(self, variables: tuple[Any, ...], ts: Any, how: Any) -> Any:
        def of(leaves: Any, y: Any, times: Any = ts) -> Any:
            return self.program.alone(leaves, y, times, how)[0]

        return jax_double().vjp(of, *variables)[1]

    def _pushed(self, leaves: Any, y: Any, ts: Any, how: Any, along: Any) -> Any:
        """States, and their tangent in the direction `along` of (leaves, y)."""
        return jax_double().jvp(lambda a, b: self.program.alone(a, b, ts, how)[0], (leaves, y), along)

    def _curved(self, leaves: Any, y: Any, ts: Any, how: Any, along: Any, cotangent: Any, moved: Any) -> Any:
        """Derivatives of cotangent · states, differentiated once more along a direction, the cotangent by `moved`."""

        def slopes(a: Any, b: Any, c: Any) -> Any:
            return self._pull((a, b), ts, how)(c)

        return jax_double().jvp(slopes, (leaves, y, cotangent), (*along, moved))[1]

    def _given(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> tuple[Any, list[Any], Any, Any]:
        """Leaves, rows, times and how, as arrays of jax."""
        inner = module.inner if isinstance(module, Flattened) else module
        if not isinstance(inner, FromJax) or inner.tree != self.program.field.tree:
            raise Unsupported(
                "a solve of the user's own has a field of its own: that of another question is not solved"
            )
        if not isinstance(solver, OwnTolerance | OwnStep):
            raise Unsupported(f"a solve of the user's own takes no {solver.name}: its function has a solver of its own")
        sign = float(torch.sign(ts[-1] - ts[0]))
        found: dict[str, Any] = {}

        def noted(_: Any, start: Tensor, *__: Any, method: str, options: Any, **tolerances: float) -> Tensor:
            found.update(tolerances or {"dt0": sign * options["step_size"]})
            return start

        solver.solve(noted, module, y0, ts)
        asarray = jax_double().numpy.asarray
        how = {name: asarray(value) for name, value in found.items()}
        return arrays(*inner.parameters()), arrays(*y0), arrays(ts)[0], how

    def _run(self, name: str, *given: Any) -> Any:
        try:
            return jax_double().block_until_ready(self._compiled[name](*given))
        except (BadInput, Unsupported):
            raise
        except Exception as error:
            how = ", ".join(f"{k}={float(v):g}" for k, v in given[3].items())
            if "maximum number of solver steps" in words(error):
                raise Unsupported(
                    f"at {how} the solve used up its max_steps={self.call.max_steps}. What to type: "
                    "diffeqsolve(..., max_steps=100_000), or a larger tolerance"
                ) from error
            error.add_note(f"in `{name}` of the user's own solve, at {how}")
            raise

    def _solved(self, given: Any) -> Tensor:
        leaves, rows, ts, how = given
        states, tried, accepted = [], 0, 0
        for y in rows:
            found, steps = self._run("states", leaves, y, ts, how)
            states.append(tensor_of(found))
            if steps is not None:
                tried, accepted = tried + int(steps[0]), accepted + int(steps[1])
        charge(Meter(nfe=tried * self.call.evaluations))
        if tried and (told := listener()) is not None:
            told.add(accepted_forward=accepted, rejected_forward=tried - accepted)
            told.add(nfe_forward=tried * self.call.evaluations, rows_forward=tried * self.call.evaluations)
        return torch.stack(states, dim=1)

    def solution(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor) -> Tensor:
        """As `Engine.solution`."""
        return self._solved(self._given(module, solver, y0, ts))

    def gradient(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn) -> Derivatives:
        """As `Engine.gradient`."""
        given = self._given(module, solver, y0, ts)
        states = self._solved(given).requires_grad_()
        (cotangent,) = torch.autograd.grad(loss(states), states)
        leaves, rows, times, how = given
        each = [
            self._run("slopes", leaves, y, times, how, arrays(c)[0])
            for y, c in zip(rows, cotangent.unbind(1), strict=True)
        ]
        theta = sum(torch.cat([y0.new_zeros(0), *(tensor_of(g).reshape(-1) for g in of[0])]) for of in each)
        of_ts = [tensor_of(of[2]) for of in each if len(of) > 2]
        assert isinstance(theta, Tensor)
        return Derivatives(
            torch.stack([tensor_of(of[1]) for of in each]),
            theta,
            torch.stack(of_ts).sum(0) if of_ts else torch.zeros_like(ts),
            "" if of_ts else NO_TIMES,
        )

    def product(
        self,
        module: nn.Module,
        solver: Solver,
        y0: Tensor,
        ts: Tensor,
        loss: LossFn,
        of_y0: Tensor,
        of_params: list[Tensor],
        *,
        curved: bool = True,
    ) -> list[Tensor]:
        """As `ProductEngine.product`, by forward mode over reverse mode; curved: not in its Gauss-Newton form.

        Raises:
            Unsupported: another adjoint than DirectAdjoint, which alone jax differentiates both ways.
        """
        if self.call.adjoint != "DirectAdjoint":
            raise Unsupported(f"{self.call.adjoint} cannot be differentiated twice; diffrax's DirectAdjoint can")
        leaves, rows, times, how = self._given(module, solver, y0, ts)
        alongs = [(arrays(*of_params), arrays(row)[0]) for row in of_y0]
        pairs = [self._run("pushed", leaves, y, times, how, a) for y, a in zip(rows, alongs, strict=True)]
        states = torch.stack([tensor_of(found) for found, _ in pairs], dim=1).requires_grad_()
        moves = torch.stack([tensor_of(tangent) for _, tangent in pairs], dim=1)
        (slope,) = torch.autograd.grad(loss(states), states, create_graph=True)
        bent = torch.zeros_like(moves)
        if slope.requires_grad:
            (bent,) = torch.autograd.grad(slope, states, moves, materialize_grads=True)
        slope = slope if curved else torch.zeros_like(slope)
        second = [
            self._run("curved", leaves, y, times, how, a, arrays(c)[0], arrays(b)[0])
            for y, a, c, b in zip(rows, alongs, slope.unbind(1), bent.unbind(1), strict=True)
        ]
        of_leaves = [sum(tensor_of(s[0][i]) for s in second) for i in range(len(leaves))]
        return [torch.stack([tensor_of(s[1]) for s in second]), *of_leaves]  # type: ignore[list-item]

    def gauss_newton_product(
        self,
        module: nn.Module,
        solver: Solver,
        y0: Tensor,
        ts: Tensor,
        loss: LossFn,
        of_y0: Tensor,
        of_params: list[Tensor],
    ) -> list[Tensor]:
        """As `GaussNewtonEngine.gauss_newton_product`."""
        return self.product(module, solver, y0, ts, loss, of_y0, of_params, curved=False)

    def hessian(
        self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: LossFn, *, curved: bool = True
    ) -> Tensor:
        """As `SecondOrderEngine.hessian`, column by column."""
        shapes = [y0, *(p for p in module.parameters() if p.requires_grad)]
        columns = []
        for unit in torch.eye(sum(x.numel() for x in shapes), dtype=y0.dtype):
            parts = torch.split(unit, [x.numel() for x in shapes])
            of_y0, *of_params = (part.reshape(x.shape) for part, x in zip(parts, shapes, strict=True))
            found = self.product(module, solver, y0, ts, loss, of_y0, of_params, curved=curved)
            columns.append(torch.cat([part.reshape(-1) for part in found]))
        return torch.stack(columns, dim=1)


def _made(function_and_layout: bytes, field: FromJax, call: Call) -> OwnSolve:
    function, layout = pickle.loads(function_and_layout)
    return OwnSolve(Program(function, field, layout), call)
