"""Gathering what layers see along adjoint solves: hooks that are there for one training step, and gone after it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from odecheck.compat import autograd_node, backward_pass
from odecheck.errors import CurvatureError

from .accumulator import Sink, Stage
from .coverage import Missed, Seen, missed
from .hooks import Callback, Hook
from .layers import Shape, named_layers, tied, trained
from .samples import Told, check, samples_of
from .steps import Evaluation, Starts, Steps

Which = Literal["ode", "all"]
FORWARD = ("callback_step", "callback_accept_step", "callback_reject_step")
SILENCED = r"Solver '.*' does not support callbacks"  # a method of fixed steps says so of two of the five


class Gather:
    """While installed, hands every call of a layer in an adjoint solve to a sink, with its weight in the integral.

    A solve is found when it calls the field's callbacks, so any module inside `model` (or of `fields`) may be a field.
    Solves are those of `torchdiffeq.odeint_adjoint` and `odecheck.odeint`; they have to begin, forwards, after
    `install`. Neither their steps nor their gradients change by a bit.

    Args:
        model: where fields and layers are looked for.
        sink: what is done with the calls.
        layers: those of fields alone, or "all" of the model.
        fields: more fields, that `model` does not hold; functions too.
        samples: how many a solve has, or a function of its state that says so. None: the length of the state's first
            axis, where calls of layers leave no doubt of it.

    Raises ValueError where layers share a weight and differ otherwise.
    """

    def __init__(
        self,
        model: nn.Module,
        sink: Sink,
        *,
        layers: Which = "ode",
        fields: Sequence[Callable] = (),
        samples: Told = None,
    ) -> None:
        self.model, self.sink, self.which, self.samples = model, sink, layers, samples
        self.candidates: list[Any] = [*model.modules()]
        self.candidates += [m for f in fields for m in (f.modules() if isinstance(f, nn.Module) else [f])]
        self.names = named_layers(model, fields)
        self.stands_for = tied(self.names)  # layer → the one that its calls count for
        self.shapes: dict[nn.Module, Shape] = {}
        self.steps: dict[Any, Steps] = {}
        self.of_field: set[nn.Module] = set()
        self._starts: dict[Any, Starts] = {}
        self._handles: dict[Any, list[Any]] = {}
        self._kept: list[tuple[dict, str, bool, Any]] = []
        self._silence: Any = None
        self._open: tuple[Any, Evaluation] | None = None
        self._seen = Seen()  # in the evaluation that is open
        self._missed: dict[nn.Module, Missed] = {}  # by the first evaluation of each field in a backward pass
        self._warned: set[str] = set()
        self._failure = ""
        self._last: Evaluation | None = None
        self._passed, self._backprop, self.active = -1, False, False

    # --- coming and going

    def install(self) -> Self:
        """Raises RuntimeError when it is installed already."""
        if self.active:
            raise RuntimeError("this Gather is installed already")
        self.active = True
        # anew each time: what is trained may have changed
        self.shapes = {layer: Shape.of(layer) for layer in self.stands_for.values() if trained(layer)}
        for module in dict.fromkeys(self.candidates):
            if isinstance(module, torch.jit.ScriptModule):
                continue
            self._call_back(module)
        if self.which == "all":
            for layer in self.names:
                self._watch_layer(layer)
        warnings.filterwarnings("ignore", message=SILENCED, category=UserWarning)
        self._silence = warnings.filters[0]
        return self

    def remove(self) -> None:
        """Leave every module as it was found."""
        self.active = False
        for place, name, was_there, before in reversed(self._kept):
            if was_there:
                place[name] = before
            else:
                place.pop(name, None)
        for handles in self._handles.values():
            for handle in handles:
                handle.remove()
        self._kept.clear()
        self._handles.clear()
        if self._silence in warnings.filters:
            warnings.filters.remove(self._silence)  # pyright: ignore[reportAttributeAccessIssue]

    def reset(self) -> None:
        """Forget all that was seen."""
        self.steps.clear()
        self._starts.clear()
        self.of_field.clear()
        self._missed.clear()
        self._failure = ""
        self._open = self._last = None
        self._passed, self._backprop = -1, False

    def __enter__(self) -> Self:
        return self.install()

    def __exit__(self, *_: object) -> None:
        self.remove()

    def finish(self) -> None:
        """Take the last steps into account. Raises CurvatureError if the integrals are not what they should be."""
        self._open = None
        self._settle(self._last)
        self._last = None
        for steps in self.steps.values():
            steps.finish()
        failures = [self._failure, *(x.failure for x in (*self.steps.values(), *self._missed.values()))]
        if failure := next(filter(None, failures), ""):
            raise CurvatureError(failure)
        if unseen := sorted({name for m in self._missed.values() for name in m.unseen} - self._warned):
            self._warned |= set(unseen)
            warnings.warn(
                f"{', '.join(unseen)} took part in a solve without being called, as functional.linear(x, layer.weight) "
                "does: no curvature is gathered, and a gradient stays as it is. Call the layer to change this.",
                stacklevel=3,
            )
        if not any(s.accepted for s in self.steps.values()) and (self.which == "ode" or self._backprop):
            raise CurvatureError(self._why_nothing())

    def _why_nothing(self) -> str:
        if self._backprop:
            return (
                "the ODE layer was backpropagated through its steps, and curvature is an integral along an adjoint "
                "solve. Use torchdiffeq.odeint_adjoint, or odecheck.odeint, in place of torchdiffeq.odeint."
            )
        if self.steps:
            return (
                "an ODE layer was solved, and no adjoint solve of it was seen. Usual causes: loss.backward() was not "
                "called in between, nothing of the field needs a gradient, the callbacks on the field were "
                "overwritten, or the method is scipy_solver, which says nothing of its steps."
            )
        return (
            "no ODE solve was seen. Usual causes: the forward pass was made before gathering began, or the field that "
            "is given to odeint is made anew in every forward pass, or the method is scipy_solver, which says nothing "
            "of its steps. Keep the field as a submodule of the model, or pass fields=[field]."
        )

    # --- what is heard

    def _call_back(self, module: Any) -> None:
        place = vars(module)
        for adjoint in (False, True):
            for name in FORWARD:
                full = name + ("_adjoint" if adjoint else "")
                told = partial(self._told, module, name, adjoint)
                self._kept.append((place, full, full in place, place.get(full)))
                place[full] = Callback(told, getattr(module, full, None))

    def _told(self, field: Any, name: str, adjoint: bool, t0: Tensor, dt: Tensor) -> None:
        if not self.active:
            return
        if field not in self.steps:
            self._discover(field)
        if not adjoint:
            starts = self._starts[field]
            self._backprop |= torch.is_grad_enabled()
            if name == "callback_reject_step":
                starts.reject()
            else:
                (starts.step if name == "callback_step" else starts.accept)(t0.item(), dt.item())
            return
        self._turn_to(backward_pass())
        steps = self.steps[field]
        if name == "callback_step":
            steps.begin(t0, dt, autograd_node())  # the node of the graph is the solve
        elif name == "callback_accept_step":
            steps.accept(t0, dt)
        else:
            steps.reject()

    def _discover(self, field: Any) -> None:
        self._starts[field] = Starts()
        self.steps[field] = Steps(self._emit, self._starts[field])
        if isinstance(field, nn.Module):
            self._handles[field] = [
                field.register_forward_pre_hook(Hook(self._enter)),
                field.register_forward_hook(Hook(self._leave)),
            ]
            for layer in field.modules():
                if self.stands_for.get(layer) in self.shapes:
                    self.of_field.add(self.stands_for[layer])
                    self._watch_layer(layer)

    def _watch_layer(self, layer: nn.Module) -> None:
        if layer not in self._handles and self.stands_for[layer] in self.shapes:
            self._handles[layer] = [layer.register_forward_hook(Hook(self._see), with_kwargs=True)]

    # --- what is seen

    def _enter(self, field: nn.Module, args: tuple[Any, ...]) -> None:
        if not self.active or field not in self.steps or (self._open and self._open[0] is not field):
            return
        if not torch.is_grad_enabled():
            self._starts[field].evaluated()
        elif _within_backward():
            self._turn_to(backward_pass())
            evaluation = Evaluation(args[0].detach())
            with self._said_at_the_end():
                evaluation.samples = samples_of(args[1], self.samples)
            evaluation.image = self.samples is None and isinstance(args[1], Tensor) and args[1].dim() == 3
            self._open, self._seen = (field, evaluation), Seen()

    def _leave(self, field: nn.Module, _args: Any, output: Any) -> None:
        if self._open is not None and self._open[0] is field:
            if field not in self._missed:
                layers = {x: self.names[x] for m in field.modules() if (x := self.stands_for.get(m)) in self.shapes}
                self._missed[field] = missed(output, layers, self._seen)
            (_, evaluation), self._open = self._open, None
            self.steps[field].evaluated(evaluation)
            self._last = evaluation

    def _settle(self, evaluation: Evaluation | None) -> None:
        """Its gradients have arrived: keep of its calls what the sink needs."""
        if evaluation is None:
            return
        calls, evaluation.calls = evaluation.calls, []
        # a convolution that is called without a batch says what the first of three axes is
        image = evaluation.image and any(isinstance(layer, nn.Conv2d) and g.dim() == 3 for layer, _, g in calls)
        evaluation.samples = 1 if image else evaluation.samples
        with self._said_at_the_end():
            for layer, z, g in calls:
                check(layer, g, evaluation.samples, sure=image or self.samples is not None)
                held = self.sink.hold(layer, self.shapes[layer], z, g, evaluation.samples)
                evaluation.held.append((layer, held))

    @contextmanager
    def _said_at_the_end(self) -> Iterator[None]:
        """Errors in what is gathered are raised by `finish`: the backward pass is the user's, and goes on."""
        try:
            yield
        except CurvatureError as error:
            self._failure = self._failure or str(error)

    def _turn_to(self, passed: int) -> None:
        self._settle(self._last)
        self._last = None
        if passed != self._passed:
            for steps in self.steps.values():
                steps.finish()
            self._passed = passed

    def _see(self, layer: nn.Module, args: tuple[Any, ...], named: dict[str, Any], output: Tensor) -> None:
        if not self.active or not torch.is_grad_enabled() or not output.requires_grad:
            return
        z, layer = (args[0] if args else named["input"]).detach(), self.stands_for[layer]
        if self._open is not None:
            self._seen.calls[layer] += 1
            output.register_hook(partial(self._along, self._open[1], layer, z))
        elif self.which == "all" and layer not in self.of_field:
            output.register_hook(partial(self._once, layer, z))

    def _along(self, evaluation: Evaluation, layer: nn.Module, z: Tensor, g: Tensor) -> None:
        # a field that differentiates itself, for its divergence, comes by here before it has returned
        if self._open is not None and self._open[1] is evaluation:
            self._seen.own = True
        elif not evaluation.idle:
            evaluation.calls.append((layer, z, g.detach()))

    def _once(self, layer: nn.Module, z: Tensor, g: Tensor) -> None:
        if self.active:
            self.sink.once(layer, self.shapes[layer], z, g.detach(), backward_pass())

    def _emit(self, evaluation: Evaluation, weight: float, direction: float) -> None:
        self._settle(evaluation)
        counts = Counter(layer for layer, _ in evaluation.held)
        for layer, held in evaluation.held:
            self.sink.along(layer, held, Stage(weight, direction, counts[layer], evaluation.samples, self._passed))


def _within_backward() -> bool:
    return backward_pass() >= 0
