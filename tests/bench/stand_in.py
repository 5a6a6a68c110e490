"""A GPU that is none: tensors 'on the GPU' are tensors of the CPU whose storages are remembered.

It sees what would break on a real one: an operation that mixes both kinds, a value that the host waits for (counted,
and an error while a graph is captured), a generator of the CPU that fills a tensor of the GPU. A graph is a tape of
operations, played again on the same storages: what is not written into what the capture read stays as it was, as it
does on a GPU. What it cannot show is time, and what a driver refuses.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from odecheck import compat

CUDA = torch.device("cuda:0")
SYNC = "called a synchronizing CUDA operation"  # torch's words
DEVICE, IS_CUDA = torch.Tensor.device.__get__, torch.Tensor.is_cuda.__get__  # type: ignore[attr-defined]
# these take tensors of both kinds: copies, and what has indices of the host
MIXED = ("_to_copy", "copy_", "index", "index_put", "index_put_", "_index_put_impl_", "lift_fresh", "alias", "detach")


class Gpu:
    """The state of the stand-in.

    Attributes:
        mixed: what mixed tensors of both kinds, in words.
        reads: how often the host waited for the device.
        graphs: how many were captured.
        replays: how many were replayed.
    """

    def __init__(self) -> None:
        self.storages: dict[int, Any] = {}
        self.mixed, self.reads, self.graphs, self.replays = list[str](), 0, 0, 0
        self.tape: list[tuple[Any, Any, Any, Any]] | None = None
        self.warns, self.quiet = False, False

    def on(self, x: Any) -> bool:
        return isinstance(x, Tensor) and _storage(x) in self.storages

    def take(self, x: Any) -> Any:
        if isinstance(x, Tensor) and (key := _storage(x)) is not None and key not in self.storages:
            self.storages[key] = compat.physical(x).untyped_storage()
        return x

    def leave(self, x: Tensor) -> Tensor:
        self.storages.pop(_storage(x), None)  # type: ignore[arg-type]
        return x

    def waited(self, what: str) -> None:
        """The host waits for the device."""
        self.reads += 1
        if self.tape is not None:
            raise RuntimeError(f"operation not permitted when stream is capturing: {what}")
        if self.warns:
            warnings.warn(SYNC, UserWarning, stacklevel=2)

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """What is done in here is none of the stand-in's business."""
        before, self.quiet = self.quiet, True
        try:
            yield
        finally:
            self.quiet = before


def _storage(x: Tensor) -> int | None:
    try:
        return (compat.physical(x) if compat.is_wrapped(x) else x).untyped_storage()._cdata
    except Exception:  # a tensor without one
        return None


names: dict[Any, str] = {}


def tensors(values: Iterable[Any]) -> list[Tensor]:
    """Those among values, and in lists among them."""
    found = list[Tensor]()
    for x in values:
        if isinstance(x, Tensor):
            found.append(x)
        elif isinstance(x, list | tuple):
            found += [one for one in x if isinstance(one, Tensor)]
    return found


def _is_cuda(device: Any) -> bool:
    return isinstance(device, str | torch.device) and torch.device(device).type == "cuda"


def _of_torch(node: Any) -> bool:
    """Whether a node of the graph that is differentiated is torch's own: its zeros are made where its inputs are."""
    return node is not None and not isinstance(node, torch.autograd.function.BackwardCFunction)


class Functions(TorchFunctionMode):
    """Answers questions about devices, and moves tensors."""

    def __init__(self, gpu: Gpu) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        gpu, kwargs, name = self.gpu, dict(kwargs or {}), getattr(function, "__name__", "")
        if gpu.quiet:
            return function(*args, **kwargs)
        if function == DEVICE and gpu.on(args[0]):
            return CUDA
        if function == IS_CUDA:
            return gpu.on(args[0])
        if name in ("tolist", "numpy", "__array__", "cpu") and gpu.on(args[0]):
            gpu.waited(name)
            if name in ("numpy", "__array__"):
                raise TypeError("can't convert cuda:0 device type tensor to numpy")
            with gpu.unseen():
                return gpu.leave(args[0].clone()) if name == "cpu" else args[0].tolist()
        if name == "new_tensor" and gpu.on(args[0]):
            gpu.waited(name)
            with gpu.unseen():
                return gpu.take(function(*args, **kwargs))
        if name == "to":
            return self.moved(function, args, kwargs)
        if _is_cuda(kwargs.get("device")) and name != "_parse_to":
            if isinstance(kwargs.get("generator"), torch.Generator):
                raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
            kwargs["device"] = "cpu"
            if name in ("tensor", "as_tensor"):
                gpu.waited(name)
            with gpu.unseen():
                found = function(*args, **kwargs)
            return gpu.take(found)
        return function(*args, **kwargs)

    def moved(self, function: Any, args: Any, kwargs: Any) -> Any:
        """x.to(…): a copy with the wanted tag where the device changes."""
        gpu, (x, *rest) = self.gpu, args
        wanted = [kwargs.pop("device", None), *(a for a in rest if isinstance(a, str | torch.device))]
        wanted += [CUDA if gpu.on(a) else "cpu" for a in rest if isinstance(a, Tensor)]
        device = next((a for a in wanted if a is not None), None)
        kinds = [a.dtype if isinstance(a, Tensor) else a for a in (*rest, kwargs.get("dtype"))]
        dtype = next((a for a in kinds if isinstance(a, torch.dtype)), None)
        found = x if dtype is None else function(x, dtype)
        if device is None or _is_cuda(device) == gpu.on(found):
            return found
        gpu.waited("to")
        with gpu.unseen():
            copy = found.detach().clone() if not found.requires_grad else found.clone()
        if isinstance(x, torch.nn.Parameter):
            copy = copy.detach()
        return gpu.take(copy) if _is_cuda(device) else gpu.leave(copy)


class Operations(TorchDispatchMode):
    """Hands the tag on from inputs to results, and tapes what is captured."""

    def __init__(self, gpu: Gpu) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        gpu, kwargs = self.gpu, kwargs or {}
        inputs = tensors([*args, *kwargs.values()])
        on = [_storage(x) in gpu.storages for x in inputs]
        name = names.get(operation) or names.setdefault(operation, str(operation).split(".")[1])
        if not gpu.quiet and any(on) and name in ("_local_scalar_dense", "equal", "nonzero", "unique", "masked_select"):
            gpu.waited(name)
        if made := _is_cuda(kwargs.get("device")):  # a captured one
            kwargs = {**kwargs, "device": "cpu"}
        if not gpu.quiet and name in ("index", "index_put_") and on[0] and not all(on):
            gpu.waited("an index of the host")
        found = operation(*args, **kwargs)
        if gpu.quiet:
            return found
        if made or (not inputs and _of_torch(compat.autograd_node())):
            for x in tensors([found]):
                gpu.take(x)
        if any(on):
            if any(not b and x.ndim > 0 for b, x in zip(on, inputs, strict=True)) and name not in MIXED:
                gpu.mixed.append(f"{operation} {[(b, tuple(x.shape)) for b, x in zip(on, inputs, strict=True)]}")
            for x in tensors([found]):
                gpu.take(x)
        if gpu.tape is not None:
            gpu.tape.append((operation, args, kwargs, found))
        return found


class Graph:
    """torch.cuda.CUDAGraph as a tape."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.tape: list[tuple[Any, Any, Any, Any]] = []

    def replay(self) -> None:
        """Every operation again, into the storages that it wrote."""
        self.gpu.replays += 1
        with self.gpu.unseen(), torch.no_grad():
            for operation, args, kwargs, kept in self.tape:
                found = operation(*args, **kwargs)
                for old, new in zip(tensors([kept]), tensors([found]), strict=True):
                    if _storage(old) != _storage(new):
                        old.detach().copy_(new)


class Event:
    def __init__(self, **_: Any) -> None:
        self.at = 0.0

    def record(self, *_: Any) -> None:
        import time

        self.at = time.perf_counter()

    def elapsed_time(self, other: Event) -> float:
        return max(1e3 * (other.at - self.at), 1e-6)


@contextmanager
def a_gpu(monkeypatch: Any, captures: dict[Any, Any] | None = None) -> Iterator[Gpu]:
    """While this is open, torch seems to have a GPU. captures: to keep what was captured for the same field."""
    known = {} if captures is None else captures
    gpu = Gpu()

    @contextmanager
    def graph(made: Graph, stream: Any = None) -> Iterator[None]:
        gpu.tape, gpu.graphs = made.tape, gpu.graphs + 1
        try:
            yield
        finally:
            gpu.tape = None

    stream = SimpleNamespace(wait_stream=lambda other: None)
    whole: Callable[..., Any] = compat.capture

    def capture(*arguments: Any) -> Any:
        key = tuple((x.shape, x.dtype) for x in arguments[-1])
        if key in known:
            return known[key]
        with gpu.unseen():
            made = known[key] = whole(*arguments)
        for node in made.graph.nodes:  # what a capture makes by itself is made where its arguments are
            if "device" in node.kwargs:
                node.kwargs = {**node.kwargs, "device": CUDA}
        made.recompile()
        return made

    fakes = {
        "is_available": lambda: True,
        "device": lambda device: nullcontext(),
        "stream": lambda stream: nullcontext(),
        "current_stream": lambda *_: stream,
        "set_stream": lambda stream: None,
        "Stream": lambda *_: stream,
        "Event": Event,
        "CUDAGraph": lambda: Graph(gpu),
        "graph": graph,
        "synchronize": lambda *_: None,
        "memory_allocated": lambda *_: 0,
        "max_memory_allocated": lambda *_: 1,
        "reset_peak_memory_stats": lambda *_: None,
        "set_sync_debug_mode": lambda mode: setattr(gpu, "warns", mode == "warn"),
        "get_sync_debug_mode": lambda: int(gpu.warns),
        "get_device_properties": lambda *_: SimpleNamespace(name="a stand-in", total_memory=2**30),
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(compat, "capture", capture)
    functions, engine = Functions(gpu), torch.autograd._engine_run_backward  # pyright: ignore[reportPrivateImportUsage]

    def backward(*arguments: Any, **options: Any) -> Any:
        with functions:  # torch takes a mode off while it asks it what grad() is
            return engine(*arguments, **options)

    monkeypatch.setattr(torch.autograd, "_engine_run_backward", backward)
    with Operations(gpu), functions:
        yield gpu
