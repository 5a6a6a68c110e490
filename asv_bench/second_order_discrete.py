"""What second derivatives of recorded steps cost next to double backward through torchdiffeq, and next to diffrax.

    python asv_bench/second_order_discrete.py [--quick] [--repeat N] [--device cuda]

One thread, process CPU time (wall-clock with synchronisation on a GPU), subjects alternating in one run, medians.
Every subject solves at rtol 1e-6 with dopri5 and reports the error it achieved against a solve at rtol 1e-12; a
wrong answer is not timed, and neither is a compilation. Sizes are state-width-width-state: S = 2-32-32-2,
M = 8-64-64-8, L = 32-128-128-32, an ordinary `nn.Sequential` of Linear and Tanh; theta: 3-16-16-2 with time as an
input, 370 parameters. "own gradient" and "backprop" through torchdiffeq are first order, and beside the products.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import by_diffrax
import by_torchode
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torchdiffeq import odeint

from odecheck.discrete import (
    Route,
    Trajectory,
    gauss_newton_factors,
    gradient,
    hessian_theta,
    hessian_y0,
    hvp,
    record,
    squared_error_factors,
)

RTOL, ATOL = 1e-6, 1e-9
COMPILED, COMPILED_GOALS = ", compiled", {"S": 0.36, "M": 0.47, "L": 0.65}
FIRST_ORDER = "own gradient", "backprop", "torchode backprop"
SIZES = {"S": (2, 32), "M": (8, 64), "L": (32, 128)}
Subject = Callable[[], Tensor]


@dataclass(frozen=True)
class Case:
    """Subjects that compute one thing, ours first; expected: the same at rtol 1e-12; bounds: of ours / theirs."""

    name: str
    steps: int
    subjects: dict[str, Subject | None]
    expected: Tensor
    bounds: dict[str, float]


class Dense(nn.Module):
    def __init__(self, d: int, width: int, timed: bool = False) -> None:
        super().__init__()
        self.timed = timed
        self.net = nn.Sequential(
            nn.Linear(d + timed, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, d)
        )
        for layer in self.net:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=1.5 / layer.in_features**0.5)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.net(torch.cat([y, t.expand(*y.shape[:-1], 1)], dim=-1) if self.timed else y)


def loss(y: Tensor) -> Tensor:
    return (y[-1] ** 2).mean() + (y[-1] ** 4).mean()


@dataclass
class Problem:
    field: Dense
    y0: Tensor
    t: Tensor
    first_step: float = 0.0

    def __post_init__(self) -> None:
        self.parameters = list(self.field.parameters())
        self.first_step = record(self.field, self.y0, self.t, rtol=RTOL, atol=ATOL).sizes[0]

    def record(self, route: Route = "auto", compile: bool = False) -> Trajectory:
        options = {"first_step": self.first_step}
        return record(self.field, self.y0, self.t, rtol=RTOL, atol=ATOL, options=options, route=route, compile=compile)

    def precisely(self) -> Trajectory:
        return record(self.field, self.y0, self.t, method="dopri8", rtol=1e-12, atol=1e-13)

    def odeint(self, y0: Tensor) -> Tensor:
        """torchdiffeq with the same first step and steps that end at the last time: the very same steps."""
        options = {"step_t": self.t[1:], "first_step": self.first_step}
        found = odeint(self.field, y0, self.t, rtol=RTOL, atol=ATOL, method="dopri5", options=options)
        assert isinstance(found, Tensor)
        return found


def problem(size: tuple[int, int], batch: int, device: str, timed: bool = False, until: float = 2.0) -> Problem:
    torch.manual_seed(1)
    field = Dense(*size, timed).to(device, torch.float64)
    y0 = torch.randn(batch, size[0], dtype=torch.float64).to(device)
    return Problem(field, y0, torch.tensor([0.0, until], dtype=torch.float64, device=device))


def flat(parts: list[Tensor]) -> Tensor:
    return torch.cat([part.detach().flatten() for part in parts])


def product_case(
    name: str, batch: int, device: str, bound: float | None, route: Route = "auto", compile: bool = False
) -> Case:
    at = problem(SIZES[name], batch, device)
    v = torch.randn_like(at.y0)
    u = {key: torch.randn_like(value) for key, value in at.field.named_parameters()}
    theta = {key: value[None] for key, value in u.items()}

    def of(trajectory: Trajectory) -> Tensor:
        found = hvp(trajectory, loss, y0=v[None], theta=theta)
        return flat([found.y0, *found.theta.values()])

    def first_order() -> Tensor:
        found = gradient(at.record(route, compile), loss)
        return flat([found.y0, *found.theta.values()])

    def reversed_through(solve: Any, twice: bool) -> Subject | None:
        def run() -> Tensor:
            inputs = [at.y0.clone().requires_grad_(), *at.parameters]
            slopes = torch.autograd.grad(loss(solve(inputs[0])), inputs, create_graph=twice)
            return flat(list(torch.autograd.grad(slopes, inputs, [v, *u.values()]) if twice else slopes))

        return None if solve is None else run

    rows = by_torchode.solver(at.field, at.t)
    subjects: dict[str, Subject | None] = {
        "discrete": lambda: of(at.record(route, compile)),
        "torchdiffeq": reversed_through(at.odeint, twice=True),
        "torchode": reversed_through(rows, twice=True),
        "diffrax jit": by_diffrax.product(at.field.net, at.y0, v, list(u.values())),
        "own gradient": first_order,
        "backprop": reversed_through(at.odeint, twice=False),
        "torchode backprop": reversed_through(rows, twice=False),
    }
    bounds = {"own gradient": 3.0} | ({} if bound is None else {"torchdiffeq": bound})
    label = f"HVP {name}×{batch}" + ("" if route == "auto" else f", {route}") + ", compiled" * compile
    return Case(label, len(at.record().sizes), subjects, of(at.precisely()), bounds)


def hessian_y0_case(device: str, compile: bool = False) -> Case:
    at = problem(SIZES["L"], 1, device)
    unit = torch.eye(32, dtype=torch.float64, device=device).view(32, 1, 32)

    def vectorised() -> Tensor:
        return torch.autograd.functional.hessian(lambda y: loss(at.odeint(y)), at.y0, vectorize=True).view(32, 32)

    def batched_double_backward() -> Tensor:
        y = at.y0.clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss(at.odeint(y)), y, create_graph=True)
        return torch.autograd.grad(slope, y, unit, is_grads_batched=True)[0].view(32, 32)

    def vmapped_double_backward() -> Tensor:
        y = at.y0.clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss(at.odeint(y)), y, create_graph=True)
        found: Any = vmap(lambda w: torch.autograd.grad(slope, y, w, retain_graph=True)[0])(unit)
        return found.view(32, 32)

    subjects: dict[str, Subject | None] = {
        "discrete": lambda: hessian_y0(at.record(compile=compile), loss),
        "torch vectorised": vectorised,
        "torch batched": batched_double_backward,
        "torch vmap": vmapped_double_backward,
        "diffrax jit": by_diffrax.hessian_y0(at.field.net, at.y0),
    }
    bounds = {"torch vectorised": 0.35, "torch batched": 0.35, "diffrax jit": 0.5}
    bounds |= {"torch vmap": 0.4} if compile else {}
    name, expected = "Hessian y0, L×1" + COMPILED * compile, hessian_y0(at.precisely(), loss)
    return Case(name, len(at.record().sizes), subjects, expected, bounds)


def hessian_theta_case(device: str, until: float, compile: bool = False) -> Case:
    at = problem((2, 16), 1, device, timed=True, until=until)
    shapes = [p.shape for p in at.parameters]
    unit = torch.eye(370, dtype=torch.float64, device=device).split([shape.numel() for shape in shapes], dim=1)
    units = [part.reshape(370, *shape) for part, shape in zip(unit, shapes, strict=True)]

    def batched_double_backward() -> Tensor:
        slopes = torch.autograd.grad(loss(at.odeint(at.y0)), at.parameters, create_graph=True)
        rows = torch.autograd.grad(slopes, at.parameters, units, is_grads_batched=True)
        return torch.cat([row.flatten(1) for row in rows], dim=1)

    def vmapped_double_backward() -> Tensor:
        slopes = torch.autograd.grad(loss(at.odeint(at.y0)), at.parameters, create_graph=True)
        rows: Any = vmap(lambda *w: torch.autograd.grad(slopes, at.parameters, w, retain_graph=True))(*units)
        return torch.cat([part.flatten(1) for part in rows], dim=1)

    subjects: dict[str, Subject | None] = {
        "discrete": lambda: hessian_theta(at.record(compile=compile), loss),
        "torch batched": batched_double_backward,
        "torch vmap": vmapped_double_backward,
        "diffrax jit": by_diffrax.hessian_theta(at.field.net, at.y0, until),
    }
    expected = hessian_theta(at.precisely(), loss)
    bounds = {"torch batched": 0.1, **({"torch vmap": 0.22} if compile else {})}
    name = f"Hessian theta, T = {until:g}" + COMPILED * compile
    return Case(name, len(at.record().sizes), subjects, expected, bounds)


def factors_case(device: str, compile: bool = False) -> Case:
    at = problem(SIZES["M"], 16, device)
    theta = {key: value.detach() for key, value in at.field.named_parameters()}
    names = list(theta)

    def of(trajectory: Trajectory) -> Tensor:
        found = gauss_newton_factors(trajectory, squared_error_factors(trajectory.solution), by_row=True)
        return torch.cat([found.theta[name].transpose(0, 1).flatten(2) for name in names], dim=2)

    def per_sample() -> Tensor:
        """vmap over samples of jacrev through the same recorded steps, unrolled without torchdiffeq."""
        trajectory = at.record()

        def solution(own: dict[str, Tensor], y: Tensor) -> Tensor:
            for h in trajectory.sizes:
                k: list[Tensor] = []
                for row in trajectory.tableau.a[:-1]:
                    point = y
                    for a, slope in zip(row, k, strict=True):
                        point = point + h * a * slope if a else point
                    k.append(functional_call(at.field, own, (at.t[0], point)))
                for b, slope in zip(trajectory.tableau.b[:-1], k, strict=True):
                    y = y + h * b * slope if b else y
            return y

        rows = vmap(jacrev(solution), in_dims=(None, 0))(theta, at.y0)
        return torch.cat([rows[name].flatten(2) for name in names], dim=2)

    def ours() -> Tensor:
        return of(at.record(compile=compile))

    subjects: dict[str, Subject | None] = {"discrete": ours, "vmap(jacrev)": per_sample}
    bounds, name = {"vmap(jacrev)": 0.3 if compile else 0.7}, "GN rows, M×16" + COMPILED * compile
    return Case(name, len(at.record().sizes), subjects, of(at.precisely()), bounds)


def clock(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def report(case: Case, repeat: int, device: str) -> None:
    subjects = {name: subject for name, subject in case.subjects.items() if subject is not None}
    scale, errors = case.expected.abs().max(), {}
    for name, subject in list(subjects.items()):
        found = subject().to(case.expected)
        if "torchode" in name and not found.isfinite().all():
            del subjects[name]  # its double backward has NaN for some fields
        elif name not in FIRST_ORDER:
            errors[name] = float((found - case.expected).abs().max() / scale)
            if not errors[name] < 1e-3:
                raise AssertionError(f"{case.name}: {name} is wrong by {errors[name]:.1e}")
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(repeat):
        for name, subject in subjects.items():
            start = clock(device)
            subject()
            taken[name].append(1e3 * (clock(device) - start))
    for name in case.subjects:
        if name not in subjects:
            why = "not finite" if case.subjects[name] else "not installed"
            print(f"{case.name:20} {case.steps:5d} {name:17} {why:>10}")
            continue
        ratios = statistics.median([a / b for a, b in zip(taken["discrete"], taken[name], strict=True)])
        bound, error = case.bounds.get(name), "-" if name in FIRST_ORDER else f"{errors[name]:.1e}"
        wanted = "" if bound is None else f"{bound:7.2f} {'reached' if ratios <= bound else 'missed'}"
        print(
            f"{case.name:20} {case.steps:5d} {name:17} {statistics.median(taken[name]):10.1f} {error:>9} "
            f"{ratios if name != 'discrete' else 1.0:14.3f} {wanted}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rounds, and only the small cases")
    parser.add_argument("--repeat", type=int, default=11)
    parser.add_argument("--only", default="", help="only the cases whose number is in this list, counted from 0")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    how = parser.parse_args()
    if how.device == "cuda" and not torch.cuda.is_available():
        parser.exit(0, "There is no GPU here, or torch was built without CUDA: nothing is measured.\n")
    torch.set_num_threads(1)
    makers: list[Callable[[], Case]] = [
        lambda: product_case("S", 1, how.device, 0.45),
        lambda: product_case("S", 64, how.device, 0.45),
        lambda: product_case("M", 64, how.device, 0.7),
        lambda: product_case("L", 64, how.device, None),
        *(partial(product_case, name, 64, how.device, bound, compile=True) for name, bound in COMPILED_GOALS.items()),
        lambda: hessian_y0_case(how.device),
        lambda: hessian_theta_case(how.device, 2.0),
        lambda: hessian_theta_case(how.device, 8.0),
        lambda: factors_case(how.device),
        lambda: hessian_y0_case(how.device, compile=True),
        lambda: hessian_theta_case(how.device, 2.0, compile=True),
        lambda: hessian_theta_case(how.device, 8.0, compile=True),
        lambda: factors_case(how.device, compile=True),
    ]
    print(
        f"torch {torch.__version__}, {how.device}, float64, dopri5, rtol {RTOL:g}, atol {ATOL:g}; ratio = ours / theirs"
    )
    print(f"{'case':20} {'steps':>5} {'subject':17} {'ms':>10} {'error':>9} {'ours / theirs':>14} {'wanted':>7}")
    chosen = [makers[int(i)] for i in how.only.split(",")] if how.only else makers[:2] if how.quick else makers
    for make in chosen:
        report(make(), 2 if how.quick else how.repeat, how.device)


if __name__ == "__main__":
    main()
