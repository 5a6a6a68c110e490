"""What a Hessian-vector product by continuous adjoints costs, next to double backward through torchdiffeq's steps.

    python asv_bench/second_order_continuous.py [--quick] [--device cuda]

Process CPU time of one thread (on a GPU, synchronised wall-clock), all routes alternating in one run, medians. Each
route's achieved error against a solve at 1e-11 is stated, because equal tolerances are not equal errors. The
second table is the memory held by the graph as the interval grows, in bytes of saved tensors at their peak.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
import torchdiffeq
from torch import Tensor, nn

from odecheck.ode import odeint
from odecheck.second_order import hvp

SIZES = {"S×1": (2, 32, 1), "S×64": (2, 32, 64), "M×64": (8, 64, 64), "L×64": (32, 128, 64)}


class Field(nn.Module):
    def __init__(self, d: int, width: int):
        super().__init__()
        layers = nn.Linear(d, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, d)
        self.net = nn.Sequential(*layers)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.net(y)


class Case:
    """A field, a batch, a squared error and a direction in the parameters."""

    def __init__(self, size: str, end: float, device: str):
        d, width, batch = SIZES[size]
        torch.manual_seed(0)
        self.field = Field(d, width).double().to(device)
        self.x = torch.randn(batch, d, dtype=torch.float64, device=device)
        self.target = torch.randn(batch, d, dtype=torch.float64, device=device)
        self.t = torch.tensor([0.0, end], dtype=torch.float64, device=device)
        self.params = list(self.field.parameters())
        self.v = [torch.randn_like(p) for p in self.params]

    def loss(self, y: Tensor) -> Tensor:
        return ((y[-1] - self.target) ** 2).sum()

    def double_backward(self, solve: Callable, tolerance: float, **options) -> list[Tensor]:
        y = solve(self.field, self.x, self.t, rtol=tolerance, atol=tolerance, **options)
        grads = torch.autograd.grad(self.loss(y), self.params, create_graph=True)
        return list(torch.autograd.grad(grads, self.params, self.v))

    def two_solves(self, tolerance: float) -> list[Tensor]:
        zero = torch.zeros_like(self.x)
        result = hvp(self.field, self.x, self.t, self.loss, (zero, self.v), rtol=tolerance, atol=tolerance)
        return list(result.product[1])

    def forward_over_reverse(self, tolerance: float) -> list[Tensor]:
        model = nn.ModuleDict({"field": self.field})
        names = [f"field.{name}" for name, _ in self.field.named_parameters()]

        def loss(params: dict[str, Tensor]) -> Tensor:
            run = lambda: self.loss(odeint(self.field, self.x, self.t, rtol=tolerance, atol=tolerance))  # noqa: E731
            model.forward = run
            return torch.func.functional_call(model, params, ())

        point = {name: p.detach() for name, p in zip(names, self.params, strict=True)}
        along = dict(zip(names, self.v, strict=True))
        return list(torch.func.jvp(torch.func.grad(loss), (point,), (along,))[1].values())

    def routes(self) -> dict[str, Callable[[float], list[Tensor]]]:
        ends = {"method": "dopri5", "options": {"step_t": self.t[-1:]}}
        return {
            "torchdiffeq": lambda tol: self.double_backward(torchdiffeq.odeint, tol),
            "torchdiffeq, step_t": lambda tol: self.double_backward(torchdiffeq.odeint, tol, **ends),
            "hvp": self.two_solves,
            "jvp of grad": self.forward_over_reverse,
            "double backward": lambda tol: self.double_backward(odeint, tol),
        }


def clock(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def medians(calls: Mapping[str, Callable[[], object]], device: str, rounds: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(rounds + 2):
        for name, call in calls.items():
            begin = clock(device)
            call()
            if repeat >= 2:
                taken[name].append(clock(device) - begin)
    return {name: 1e3 * statistics.median(values) for name, values in taken.items()}


def relative_error(observed: list[Tensor], expected: list[Tensor]) -> float:
    a, b = (torch.cat([x.flatten() for x in xs]) for xs in (observed, expected))
    return float((a - b).norm() / b.norm())


def time_table(device: str, end: float, tolerance: float, rounds: int) -> None:
    print(f"\nT = {end:g}, rtol = atol = {tolerance:g}, dopri5: ms, ratio to torchdiffeq, achieved relative error")
    for size in SIZES:
        case = Case(size, end, device)
        truth = case.two_solves(1e-11)
        calls = {name: partial(route, tolerance) for name, route in case.routes().items()}
        errors = {name: relative_error(call(), truth) for name, call in calls.items()}
        taken = medians(calls, device, rounds)
        for name, ms in taken.items():
            print(f"{size:6}{name:22}{ms:9.1f}{ms / taken['torchdiffeq']:7.2f}{errors[name]:11.1e}")


def equal_error_table(device: str, end: float, rounds: int) -> None:
    print(f"\nT = {end:g}: hvp at the loosest tolerance at which it is at least as right as torchdiffeq at 1e-6")
    for size in SIZES:
        case = Case(size, end, device)
        truth = case.two_solves(1e-11)
        routes = case.routes()
        for rival in ("torchdiffeq", "torchdiffeq, step_t"):
            error = relative_error(routes[rival](1e-6), truth)
            ladder = (3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7, 1e-7, 1e-8)
            tolerance = next(tol for tol in ladder if relative_error(case.two_solves(tol), truth) <= error)
            calls = {"rival": partial(routes[rival], 1e-6), "hvp": partial(case.two_solves, tolerance)}
            taken = medians(calls, device, rounds)
            print(
                f"{size:6}{rival:22}{taken['rival']:9.1f} ms, error {error:.1e}; hvp at {tolerance:.0e}: "
                f"{taken['hvp']:7.1f} ms, ratio {taken['hvp'] / taken['rival']:.2f}"
            )


def peak_saved_bytes(call: Callable[[], object]) -> int:
    """The most bytes of tensors that autograd held at once, each storage counted once."""
    held: dict[int, list[int]] = {}
    peak = 0

    class Saved:
        def __init__(self, x: Tensor):
            nonlocal peak
            self.x, self.key = x, x.untyped_storage().data_ptr()
            entry = held.setdefault(self.key, [0, x.untyped_storage().nbytes()])
            entry[0] += 1
            peak = max(peak, sum(size for _, size in held.values()))

        def __del__(self):
            held[self.key][0] -= 1
            if not held[self.key][0]:
                del held[self.key]

    with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.x):
        call()
    return peak


def memory_table(device: str) -> None:
    ends = (1.0, 4.0, 16.0, 64.0)
    print("\nM×64, peak KiB of saved tensors at T = " + ", ".join(f"{end:g}" for end in ends))
    for name in ("torchdiffeq", "hvp", "double backward"):
        cases = [Case("M×64", end, device) for end in ends]
        peaks = [peak_saved_bytes(partial(case.routes()[name], 1e-6)) / 1024 for case in cases]
        print(f"{name:22}" + "".join(f"{peak:10.1f}" for peak in peaks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three rounds instead of eleven")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.exit(0, "There is no GPU here, or torch was built without CUDA: nothing is measured.\n")
    torch.set_num_threads(1)
    rounds = 3 if arguments.quick else 11
    for end in (1.0, 8.0):
        time_table(arguments.device, end, 1e-6, rounds)
    equal_error_table(arguments.device, 1.0, rounds)
    memory_table(arguments.device)


if __name__ == "__main__":
    main()
