"""Recording: a solve whose accepted steps are kept as a trajectory."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .capturable import Doubt, NotCompiled
from .compiled import CompiledStepper
from .one_step import Compile
from .schedule import ADAPTIVE_OPTIONS, FIXED_OPTIONS, clock_of, steps_of
from .stepping import Control, Field, Step, Stepper
from .tableau import METHODS, Tableau
from .trajectory import Route, Trajectory, keeps_graph, versions_of

if TYPE_CHECKING:
    from jaxtyping import Float


def record(
    field: Field,
    y0: Float[Tensor, "*state"],
    t: Float[Tensor, " times"],
    *,
    method: str = "dopri5",
    rtol: float | Tensor = 1e-7,
    atol: float | Tensor = 1e-9,
    options: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Tensor] | None = None,
    independent_rows: bool | None = None,
    route: Route = "auto",
    checkpoint: bool = False,
    compile: Compile = False,
) -> Trajectory:
    """Solve y' = field(t, y) with torchdiffeq's accepted steps and keep them for exact differentiation.

    Every observation time ends a step (what torchdiffeq does with `options={"step_t": t}`), so no derivative
    passes through an interpolation. The method's name, the tolerances and the options are torchdiffeq's.

    Args:
        field: a module or function (t scalar, y of y0's shape) → slope of y0's shape.
        y0: the state at t[0], floating point, any shape. Its first axis counts rows (samples).
        t: the observation times, strictly increasing or decreasing.
        method: a name of `tableau.METHODS`.
        rtol: relative tolerance of the step control, a number or a tensor like the state.
        atol: absolute tolerance, in the state's units.
        options: torchdiffeq's options of that method.
        parameters: name → leaf tensor for derivatives in theta; by default a module's parameters that require grad.
        independent_rows: whether a row's slope depends on that row of the state alone. None: found out, with a
            random probe at every stage point used, and believed only where the probe confirms it to round-off.
            True: the same probe, and an error where it disagrees. False: rows are coupled.
        route: "blocks" runs the recursions on the blocks of the field's Jacobian, all steps at once;
            "sweep" goes stage by stage without forming a Jacobian; "unrolled" keeps one graph of all steps
            for gradients and single Hessian-vector products (the rest as "auto"), with memory for all of it;
            "auto" chooses by the cost of the blocks: where a gradient is cheapest by the graph of the solve, it keeps
            that graph, and takes products by it or by blocks, whichever is cheaper.
        checkpoint: keep states only, at most 3 sqrt(steps) of them, and recompute the stages of one segment at a
            time; five numbers a step and the solution are kept in any case.
        compile: True: take the steps, and their derivatives, by graphs that Inductor compiles once for these shapes;
            "graphs": by the same graphs without a compiler; "CUDA graphs": on a GPU, each of them captured once and
            replayed by one launch. They keep what all derivatives need of every step. The field has to be a module
            that can be captured; where it cannot, or where the graphs do not give its slopes, the solve does without
            them and warns (`NotCompiled`).

    Returns:
        The accepted steps, with the solution at the observation times.

    Raises:
        ValueError: compile together with checkpoint or a route; unknown method; an option the method does not have;
            an observation time that is no grid point of a fixed-step method; times that are not strictly monotonous.
        TypeError: a state that is no floating-point tensor (a tuple, a complex tensor).
        FloatingPointError: the step size underflows, as it does after a NaN.
        RuntimeError: too many steps.
    """
    tableau = _tableau(method)
    if not (isinstance(y0, Tensor) and y0.is_floating_point()):
        raise TypeError("the state has to be one floating-point tensor: concatenate a tuple's parts first")
    options = dict(options or {})
    unknown = set(options) - (ADAPTIVE_OPTIONS if tableau.adaptive else FIXED_OPTIONS)
    if unknown:
        raise ValueError(f"method {method!r} has no options {sorted(unknown)}")
    y0, t = y0.detach(), t.detach()
    clock = clock_of(t)
    ups = [clock * time for time in t.tolist()]
    if parameters is None:
        named = dict(field.named_parameters()) if isinstance(field, nn.Module) else {}
        parameters = {name: value for name, value in named.items() if value.requires_grad}
    control = Control.of(rtol, atol, options)

    def solved(stepper: Stepper) -> Trajectory:
        leaf = y0.clone().requires_grad_(stepper.graph)
        recorder = _Recorder(stepper, ups, leaf, checkpoint)
        with torch.set_grad_enabled(stepper.graph):
            for step in steps_of(stepper, recorder.point, t, ups, control, options):
                recorder.keep(step)
        return recorder.trajectory(t, dict(parameters), independent_rows, route)

    if compile:
        if checkpoint or route != "auto":
            raise ValueError("compiled steps are a route of their own and keep every step: no route, no checkpoint")
        try:
            return solved(CompiledStepper(field, tableau, y0, clock, parameters, compile))
        except Doubt as why:
            warnings.warn(f"not compiled: {why}", NotCompiled, stacklevel=2)
    if route == "unrolled" and not checkpoint:
        return solved(Stepper(field, tableau, y0, clock, graph=True))
    if route == "auto" and not (checkpoint or compile) and keeps_graph(y0.shape, parameters, independent_rows is False):
        with suppress(Exception):  # a field that autograd cannot follow; an error of its own is raised again below
            return solved(Stepper(field, tableau, y0, clock, graph=True))
    return solved(Stepper(field, tableau, y0, clock))


def _tableau(method: str) -> Tableau:
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: one of {', '.join(METHODS)}")
    return METHODS[method]


class _Recorder:
    """Collects steps; with checkpoints it keeps the state of every stride-th step and doubles the stride."""

    def __init__(self, stepper: Stepper, ups: list[float], y0: Tensor, checkpoint: bool) -> None:
        self.stepper, self.ups, self.stride = stepper, ups, 1 if checkpoint else None
        self.starts: list[float] = []
        self.sizes: list[float] = []
        self.times: list[tuple[float, ...]] = []
        self.kept: list[tuple[Tensor, Tensor]] = []
        self.slopes: list[Tensor] = []
        self.leaf, self.point = y0, y0.reshape(-1)
        self.solution, self.observed = [self.point], [0]

    def keep(self, step: Step) -> None:
        count = len(self.sizes)
        if self.stride is None or count % self.stride == 0:
            self.kept.append((step.y.detach(), (self.point if self.stepper.tableau.carries else step.y).detach()))
        if self.stride is None:
            self.slopes.append(step.k)
        elif len(self.kept) > 4 * self.stride:
            self.kept, self.stride = self.kept[::2], 2 * self.stride
        self.starts.append(step.start)
        self.sizes.append(step.size)
        self.times.append(step.times)
        if isinstance(self.stepper, CompiledStepper):
            self.stepper.keep(step)
        self.point = step.last_point
        if step.finish == self.ups[len(self.observed)]:
            self.solution.append(step.end)
            self.observed.append(count + 1)

    def trajectory(
        self, t: Tensor, parameters: dict[str, Tensor], independent_rows: bool | None, route: Route
    ) -> Trajectory:
        solution = torch.stack(self.solution).view(-1, *self.stepper.shape)
        graph = (self.leaf, solution) if solution.requires_grad else None
        return Trajectory(
            self.stepper,
            solution.detach(),
            t,
            tuple(self.observed),
            parameters,
            independent_rows,
            route,
            self.stride,
            self.starts,
            self.sizes,
            self.times,
            self.kept,
            self.slopes,
            versions_of(parameters),
            graph,
            self.stepper.finished(self.observed) if isinstance(self.stepper, CompiledStepper) else None,
        )
