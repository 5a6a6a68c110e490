"""Gauss-Newton factors of recorded steps and of the flow, Kronecker factors of layers, and a step of SNOpt."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import common
from .common import DEVICES, Timed


class Factors(Timed):
    """Rows of the Gauss-Newton factors of a squared error."""

    params = (["odecheck.odeint", "odecheck.discrete"], DEVICES)
    param_names = ("engine", "device")

    def setup(self, engine: str, device: str) -> None:
        common.on(device)
        self.task = common.dense("S", device)
        self.run(engine)

    def run(self, engine: str) -> None:
        if engine == "odecheck.discrete":
            steps = common.recorded(self.task, "dopri5", 1e-5)
            rows = common.needed("odecheck.discrete", "squared_error_factors")(steps.solution)
            common.needed("odecheck.discrete", "gauss_newton_factors")(steps, rows)
        else:
            factors = common.needed("odecheck.second_order", "gauss_newton_factors")
            arguments = common.how("dopri5", 1e-5)
            factors(self.task.field, self.task.y0, self.task.t, _unit_rows, **arguments)

    def track_nfe(self, engine: str, device: str) -> float:
        count = common.Count(self.task.field)
        self.run(engine)
        return float(sum(count.calls))

    def time_cpu(self, engine: str, device: str) -> None:
        self.run(engine)

    track_nfe.unit = "count"  # type: ignore[attr-defined]


def _unit_rows(y: Tensor) -> Tensor:
    """The factors of a squared error: the unit vectors, (batch, rank, state)."""
    return torch.eye(y.shape[-1], dtype=y.dtype, device=y.device).expand(len(y), -1, -1)


class Pixels(nn.Module):
    """Two convolutions of images (batch, 2, height, width)."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.first, self.last = (nn.Conv2d(i, o, 3, padding=1).double() for i, o in ((2, 4), (4, 2)))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(y)))


class Kronecker(Timed):
    """Kronecker factors A and B of every layer of a field, gathered along the adjoint solve."""

    params = (["Mlp", "conv"], DEVICES)
    param_names = ("field", "device")
    RTOL, BOUND = 1e-5, 1e-2

    def setup(self, field: str, device: str) -> None:
        common.on(device)
        self.factors = common.needed("odecheck.curvature", "kronecker_factors")
        if field == "Mlp":
            self.task = common.dense("M", device)
        else:
            self.task = common.put(Pixels(), common.drawn(4, 2, 6, 6), device, "float64")
        exact = self.run("dopri8", 1e-9)
        # each matrix on its own scale: B is of the squared gradient, orders of magnitude below A
        self.found, self.exact = (
            torch.cat([(x / scale.norm()).reshape(-1) for x, scale in zip(run, exact, strict=True)]).cpu()
            for run in (self.run(), exact)
        )
        common.right(self.found, self.exact, self.BOUND)

    def run(self, method: str = "dopri5", rtol: float = RTOL) -> list[Tensor]:
        def backward() -> None:
            self.task.field.zero_grad()
            common.loss(common.solve("torchdiffeq adjoint", self.task, method, rtol)).backward()

        found = self.factors(self.task.field, backward)
        return [x for f in found.values() for x in (f.A, f.B)]

    def track_nfe(self, field: str, device: str) -> float:
        return common.calls(self.task.field, self.run)

    def track_error(self, field: str, device: str) -> float:
        return common.relative(self.found, self.exact)

    def track_saved_bytes(self, field: str, device: str) -> float:
        return common.saved(self.run)

    def time_cpu(self, field: str, device: str) -> None:
        self.run()

    track_nfe.unit = "count"  # type: ignore[attr-defined]
    track_error.unit = "relative error"  # type: ignore[attr-defined]
    track_saved_bytes.setup = common.can_count_bytes  # type: ignore[attr-defined]
    track_saved_bytes.unit = "count of bytes"  # type: ignore[attr-defined]


class QuickKronecker(Kronecker):
    params = (["Mlp"], ["cpu"])
    track_error = track_saved_bytes = time_cpu = None  # type: ignore[assignment]


class Layer(nn.Module):
    """An ODE layer, as models have it: a field and the way to solve it."""

    def __init__(self, field: nn.Module) -> None:
        super().__init__()
        self.field = field

    def forward(self, y: Tensor) -> Tensor:
        import torchdiffeq

        return torchdiffeq.odeint_adjoint(self.field, y, self.times(y), method="dopri5", rtol=1e-3, atol=1e-3)[-1]  # type: ignore[index]

    @staticmethod
    def times(y: Tensor) -> Tensor:
        return torch.tensor([0.0, 1.0], dtype=y.dtype, device=y.device)


class SnoptStep(Timed):
    """A training step, with SNOpt in front of SGD or without."""

    params = (["SGD", "SNOpt, SGD"], DEVICES)
    param_names = ("optimizer", "device")

    def setup(self, optimizer: str, device: str) -> None:
        common.on(device)
        task = common.dense("M", device)
        self.model = nn.Sequential(Layer(task.field), nn.Linear(8, 3).double().to(device))
        self.x, self.label = task.y0, torch.arange(len(task.y0), device=device) % 3
        self.sgd = torch.optim.SGD(self.model.parameters(), lr=1e-3)
        self.before = None
        if optimizer != "SGD":
            self.before = common.needed("odecheck.optim", "SNOpt")(self.model, damping=0.05, refresh=5)
        self.check()

    def check(self) -> None:
        """Refuse to time steps whose solve is wrong, or which lead nowhere."""
        layer = self.model[0]
        task = common.Task(layer.field, self.x, Layer.times(self.x))  # type: ignore[arg-type, union-attr]
        with torch.no_grad():
            tight = common.solve("torchdiffeq", task, "dopri8", 1e-8)[-1]
            common.right(layer(self.x), tight.cpu(), 3e-2)
        self.step()
        moved = torch.cat([p.detach().reshape(-1) for p in self.model.parameters()])
        slopes = torch.cat([p.grad.reshape(-1) for p in self.model.parameters() if p.grad is not None])
        if not (moved.isfinite().all() and slopes.isfinite().all() and slopes.any()):
            raise common.Skipped("after a step the parameters or their gradients are not finite, or all are zero")

    def step(self) -> None:
        self.sgd.zero_grad()
        nn.functional.cross_entropy(self.model(self.x), self.label).backward()
        if self.before is not None:
            self.before.step()
        self.sgd.step()

    def track_nfe(self, optimizer: str, device: str) -> float:
        return common.calls(self.model[0].field, lambda: self.time_cpu(optimizer, device))  # type: ignore[arg-type]

    def time_cpu(self, optimizer: str, device: str) -> None:
        for _ in range(5):  # one refresh
            self.step()

    track_nfe.unit = "count"  # type: ignore[attr-defined]


class QuickSnoptStep(SnoptStep):
    params = (["SNOpt, SGD"], ["cpu"])
