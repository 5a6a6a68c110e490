"""What the benchmarks share: a dense field, solves by every route, exact counts.

asv runs this suite at old commits too. So whatever odecheck may not have had yet is imported in `setup`, which refuses
where it is missing, and the counting here is its own few lines on torch's hooks and torchdiffeq's callbacks.

All of it has to take at most four minutes of one core for a commit, the classes Quick… forty seconds. Every benchmark
and every choice of its parameters is a process, which costs about half a second: counts are taken in `setup`, once.
"""

from __future__ import annotations

import importlib
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import torch
import torchdiffeq
from torch import Tensor, nn

for _name in ("ode", "discrete", "second_order", "runner.presets", "shipped", "cost", "optim"):
    with suppress(Exception):  # once, in the process that the benchmarks are forked from; `needed` says what is missing
        importlib.import_module(f"odecheck.{_name}")

DEVICES = ["cpu", "cuda"]
SIZES = {"S": (2, 32, 1), "M": (8, 64, 16)}  # state, width, batch
ADAPTIVE = {"dopri5": 5, "bosh3": 3, "dopri8": 8}
STEP = 0.05


class Skipped(NotImplementedError):
    """What this commit, machine or library does not have; asv calls that skipped."""


def cpu_time() -> float:
    """Seconds of this process; on a GPU once what was asked of it is done."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.process_time()


class Timed:
    """Two runs by CPU time, in one process: such times advise, those that decide are taken in pairs of commits."""

    timer = staticmethod(cpu_time)
    rounds, repeat, sample_time, warmup_time, number = 1, 2, 0.0, 0.0, 1
    timeout = 60


class Dense(nn.Module):
    """y' = W3 tanh(W2 tanh(W1 y)), drawn from a fixed seed."""

    def __init__(self, state: int, width: int) -> None:
        super().__init__()
        sizes = (state, width, width, state)
        generator = torch.Generator().manual_seed(1)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layer = nn.Linear(inputs, outputs).double()
            for parameter in layer.parameters():
                drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.data = drawn * (1.5 / inputs**0.5 if parameter.dim() > 1 else 0.1)
            layers += [layer, nn.Tanh()]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.net(y)


@dataclass
class Task:
    """A field, a start and times, on a device and in a number type."""

    field: nn.Module
    y0: Tensor
    t: Tensor


def on(device: str) -> None:
    """Refuse a device that is not there."""
    if device == "cuda" and not torch.cuda.is_available():
        raise Skipped("no CUDA here")
    torch.set_num_threads(1)


def dense(size: str = "M", device: str = "cpu", dtype: str = "float64") -> Task:
    state, width, batch = SIZES[size]
    return put(Dense(state, width), drawn(batch, state), device, dtype)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def put(field: nn.Module, y0: Tensor, device: str, dtype: str, until: float = 2.0) -> Task:
    kind = getattr(torch, dtype)
    t = torch.tensor([0.0, until / 2, until], dtype=kind, device=device)
    return Task(field.to(device, kind), y0.to(device, kind), t)


def loss(y: Tensor) -> Tensor:
    return (y[1:] ** 2).mean() + (y[-1] ** 4).mean()


def how(method: str, rtol: float) -> dict[str, Any]:
    """Arguments of a solve whose steps end on every output."""
    if method in ADAPTIVE:
        return {"method": method, "rtol": rtol, "atol": rtol / 100}
    return {"method": method, "rtol": rtol, "atol": rtol / 100, "options": {"step_size": STEP}}


def solve(engine: str, task: Task, method: str, rtol: float) -> Tensor:
    """The states at task.t, attached to the parameters where the engine does that. Raises Skipped."""
    arguments = how(method, rtol)
    if engine.startswith("torchdiffeq"):
        if method in ADAPTIVE:
            arguments["options"] = {"step_t": task.t[1:].double()}
        called = torchdiffeq.odeint_adjoint if engine == "torchdiffeq adjoint" else torchdiffeq.odeint
        return called(task.field, task.y0, task.t, **arguments)  # type: ignore[return-value]
    if engine == "odecheck.odeint":
        return needed("odecheck.ode", "odeint")(task.field, task.y0, task.t, **arguments)
    return recorded(task, method, rtol).solution


def recorded(task: Task, method: str, rtol: float) -> Any:
    return needed("odecheck.discrete", "record")(task.field, task.y0, task.t, **how(method, rtol))


def gradient(engine: str, task: Task, method: str, rtol: float, at_loss: Any = loss) -> Tensor:
    """d loss in the parameters, flat."""
    if engine == "odecheck.discrete":
        found = needed("odecheck.discrete", "gradient")(recorded(task, method, rtol), at_loss).theta.values()
    else:
        found = torch.autograd.grad(at_loss(solve(engine, task, method, rtol)), list(task.field.parameters()))
    return torch.cat([part.detach().reshape(-1) for part in found])


def needed(module: str, name: str, *former: str) -> Any:
    """Something of odecheck, which older commits have in a former module. Raises Skipped at commits without it."""
    for home in (module, *former):
        with suppress(ImportError, AttributeError):
            return getattr(importlib.import_module(home), name)
    raise Skipped(f"there is no {module}.{name}")


class Count:
    """Calls of a field forwards and backwards, and steps of both, accepted and rejected; `now` is the direction."""

    NAMES = ("callback_accept_step", "callback_reject_step")

    def __init__(self, field: nn.Module) -> None:
        self.calls, self.steps, self.now = [0, 0], [[0, 0], [0, 0]], 0
        self.field, self.hook = field, field.register_forward_pre_hook(self._called)
        self.callbacks = {name + suffix: i for i, name in enumerate(self.NAMES) for suffix in ("", "_adjoint")}
        for name, i in self.callbacks.items():
            setattr(field, name, self._stepped(i))

    def end(self) -> None:
        """Leave the field as it was: what is counted is not timed."""
        self.hook.remove()
        for name in self.callbacks:
            delattr(self.field, name)

    def _called(self, *_: Any) -> None:
        self.calls[self.now] += 1

    def _stepped(self, rejected: int) -> Any:
        def count(*_: Any) -> None:
            self.steps[self.now][rejected] += 1

        return count

    def loss(self, y: Tensor) -> Tensor:
        self.now = 1
        return loss(y)


def calls(field: nn.Module, run: Any) -> float:
    """How often `run()` calls the field. Its callbacks stay as they are: what gathers curvature sees steps by them."""
    count = 0

    def called(*_: Any) -> None:
        nonlocal count
        count += 1

    hook = field.register_forward_pre_hook(called)
    run()
    hook.remove()
    return float(count)


def counted(engine: str, task: Task, method: str, rtol: float) -> tuple[Count, Tensor]:
    """The counts of one gradient, and the gradient."""
    count = Count(task.field)
    found = gradient(engine, task, method, rtol, count.loss)
    count.end()
    return count, found


@cache
def exact(size: str) -> tuple[Tensor, Tensor]:
    """States and gradient of the dense task, to eleven digits."""
    task = dense(size)
    arguments = {"method": "dopri8", "rtol": 1e-11, "atol": 1e-12, "options": {"step_t": task.t[1:]}}
    states: Any = torchdiffeq.odeint(task.field, task.y0, task.t, **arguments)
    found = torch.autograd.grad(loss(states), list(task.field.parameters()))
    return states.detach(), torch.cat([part.reshape(-1) for part in found])


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found.detach().cpu().double() - expected).abs().max() / expected.abs().max())


def right(found: Tensor, expected: Tensor, bound: float) -> None:
    """Refuse to time an answer that is wrong: more than `bound` off, or not finite."""
    error = relative(found, expected)
    if not error < bound:
        raise Skipped(f"the answer is off by {error:.1e}, and {bound:.1e} is allowed")


def can_count_bytes(*_: Any) -> None:
    """The setup of a benchmark of saved bytes; outside of a setup, asv would call a refusal a failure."""
    needed("odecheck.cost", "saved_bytes")


def saved(run: Any) -> float:
    """The most bytes that autograd held."""
    return float(needed("odecheck.cost", "saved_bytes")(run))


def failures(run: Any) -> float:
    """1.0 when `run` raises, or when its answer is not finite; 0.0 otherwise. A skip stays a skip."""
    try:
        found = run()
    except Skipped:
        raise
    except Exception:
        return 1.0
    return float(not bool(torch.isfinite(found).all()))
