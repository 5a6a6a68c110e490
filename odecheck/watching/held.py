"""The state of a user's objects at one moment, kept without a copy of the objects, and lent back to them later.

A field is whatever a solver is called with: a module, a function with a closure, a bound method, a `partial`. What its
value depends on lies in *slots*: attributes, closure cells, lists, the globals that its code names. `Held` keeps what
stood in each slot, and one copy of each tensor. `Held.lent` puts it back for as long as the field is called again,
in the field's own precision or in float64, and afterwards restores what stood there in between.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

# objects of these packages hold no state of a user's field; an nn.Module of any package does
_PACKAGES = """
torch numpy scipy pandas sklearn jax torchvision matplotlib torchdiffeq odecheck builtins collections functools typing
logging threading inspect os sys abc weakref warnings importlib argparse contextlib pathlib io
"""
FOREIGN = frozenset(_PACKAGES.split())
PLAIN = (int, float, complex, str, bytes, bool, type(None), torch.dtype, torch.device, torch.Size)
OPAQUE = (type, types.ModuleType, types.BuiltinFunctionType, torch.optim.Optimizer)
# generators of random numbers: their state is state of the field
DRAWING = (torch.Generator, np.random.Generator)
# a field that reaches more objects than this reaches the whole program
MOST_OBJECTS = 50_000

Memo = dict[int, tuple[Tensor, Tensor]]


class NotKept(RuntimeError):
    """What a field depends on could not be kept: the message says why."""


@dataclass
class Kept:
    """One tensor: a name to call it by, the tensor itself, and its values at the moment."""

    name: str
    tensor: Tensor
    copy: Tensor


@dataclass
class Slot:
    """One place that holds values. whole: everything that the place holds is kept, so whatever is new goes again."""

    place: Any
    contents: Any
    name: str
    whole: bool

    def read(self) -> Any:
        """What stands here now, in the form of `contents`."""
        if isinstance(self.place, np.ndarray):
            return self.place.copy()
        if isinstance(self.place, DRAWING):
            return _drawing_state(self.place)
        if self.whole:
            return type(self.contents)(self.place)
        if isinstance(self.place, dict):
            return {k: self.place[k] for k in self.contents if k in self.place}
        return {k: getattr(self.place, k) for k in self.contents if hasattr(self.place, k)}

    def write(self, contents: Any) -> None:
        """Put contents here."""
        if isinstance(self.place, np.ndarray):
            self.place[...] = contents
        elif isinstance(self.place, torch.Generator):
            self.place.set_state(contents)
        elif isinstance(self.place, np.random.Generator):
            self.place.bit_generator.state = contents
        elif isinstance(self.place, list):
            self.place[:] = contents
        elif isinstance(self.place, dict):
            if self.whole and (len(self.place) != len(contents) or any(k not in contents for k in self.place)):
                self.place.clear()
            self.place.update(contents)
        else:
            for name, value in contents.items():
                setattr(self.place, name, value)


class Held:
    """All that `root` reaches, as it is now. memo: the copies of tensors that other solves have made already.

    Raises NotKept where root reaches the whole program.
    """

    def __init__(self, root: Any, memo: Memo) -> None:
        self.root, self.memo = root, memo
        self.slots: list[Slot] = []
        self.tensors: dict[int, Kept] = {}
        self._seen: dict[int, Any] = {}
        for part in root if isinstance(root, tuple) else (root,):
            self._visit(part, "")

    @contextmanager
    def lent(self, dtype: torch.dtype | None = None) -> Generator[tuple[Any, dict[str, Tensor]]]:
        """Yields root in its old state, and by name the fresh leaves that stand for its tensors that require grad.

        dtype: of all floating-point tensors, by default their own. Afterwards everything is as it was before.
        """
        fresh = {key: _leaf(kept, dtype) for key, kept in self.tensors.items()}
        now = [slot.read() for slot in self.slots]
        try:
            for slot in self.slots:
                slot.write(_substituted(slot.contents, fresh))
            yield _substituted(self.root, fresh), self.named(fresh)
        finally:
            for slot, contents in zip(self.slots, now, strict=True):
                slot.write(contents)

    def named(self, fresh: Mapping[int, Tensor]) -> dict[str, Tensor]:
        """The leaves that require grad, by the names of the tensors that they stand for."""
        return {self.tensors[key].name: leaf for key, leaf in fresh.items() if leaf.requires_grad}

    def moved(self) -> list[str]:
        """The names of what is no longer what it was."""
        names = [k.name for k in self.tensors.values() if not _same(k.tensor.detach(), k.copy)]
        for slot in self.slots:
            now = slot.read()
            if isinstance(slot.contents, dict) and isinstance(now, dict):
                both = [(k, v, now.get(k)) for k, v in slot.contents.items()]
                both += [(k, None, v) for k, v in now.items() if k not in slot.contents]
            elif isinstance(slot.contents, list):
                both = [(i, a, b) for i, (a, b) in enumerate(zip(slot.contents, now, strict=False))]
            else:
                both = [("", slot.contents, now)]
            names += [_joined(slot.name, k) for k, old, new in both if not _same(old, new)]
        return sorted(set(names))

    def modules(self) -> list[nn.Module]:
        """The modules that root reaches."""
        return [x for x in self._seen.values() if isinstance(x, nn.Module)]

    def _keep(self, x: Tensor) -> Tensor:
        """One copy for each state of a tensor. Writes through `.data` do not show in its version: compare values."""
        old = self.memo.get(id(x))
        if old is None or old[0] is not x or not _same(old[1], x.detach()):
            self.memo[id(x)] = old = (x, x.detach().clone())
        return old[1]

    def _visit(self, x: Any, name: str) -> None:
        if isinstance(x, Tensor):
            if is_lazy(x):
                raise NotKept(
                    f"the parameter {name} has no shape before the first call of the field (a lazy module): call the "
                    "field once before the step, field(t[0], y0)"
                )
            if id(x) not in self.tensors:
                self.tensors[id(x)] = Kept(self._unused(name or "tensor"), x, self._keep(x))
            return
        if isinstance(x, (*PLAIN, *OPAQUE)) or id(x) in self._seen:
            return
        self._seen[id(x)] = x
        if len(self._seen) > MOST_OBJECTS:
            raise NotKept(f"the field reaches more than {MOST_OBJECTS:,} objects")
        if isinstance(x, np.ndarray):
            self.slots.append(Slot(x, x.copy(), name, True))
        elif isinstance(x, DRAWING):
            self.slots.append(Slot(x, _drawing_state(x), name, True))
        elif isinstance(x, tuple | set | frozenset):
            for i, value in enumerate(x):
                self._visit(value, f"{name}[{i}]")
        elif isinstance(x, dict | list):
            self._slot(x, dict(x) if isinstance(x, dict) else list(x), name, whole=True)
        elif isinstance(x, types.MethodType):
            self._visit(x.__self__, name)
            self._visit(x.__func__, name)
        elif isinstance(x, functools.partial):
            self._visit((x.func, *x.args), name)
            self._visit(dict(x.keywords), name)
        elif isinstance(x, types.FunctionType):
            self._visit_function(x, name)
        else:
            self._visit_object(x, name)

    def _visit_function(self, x: types.FunctionType, name: str) -> None:
        if _foreign(x):
            return
        for variable, cell in zip(x.__code__.co_freevars, x.__closure__ or (), strict=True):
            with suppress(ValueError):  # an empty cell
                self._slot(cell, {"cell_contents": cell.cell_contents}, _joined(name, variable), whole=False)
        code = x.__code__
        names = {n for c in (code, *(k for k in code.co_consts if isinstance(k, types.CodeType))) for n in c.co_names}
        mine = {n: v for n in names if (v := x.__globals__.get(n)) is not None and _may_hold_state(v)}
        self._slot(x.__globals__, mine, "", whole=False)
        self._visit(x.__defaults__, _joined(name, "default"))
        self._visit(x.__kwdefaults__, _joined(name, "default"))

    def _visit_object(self, x: Any, name: str) -> None:
        if not isinstance(x, nn.Module) and _foreign(type(x)):
            return
        if isinstance(x, torch.jit.ScriptModule):  # its tensors lie in C++, and its attributes are code
            own = dict([*x.named_parameters(recurse=False), *x.named_buffers(recurse=False)])
            self._slot(x, own, name, whole=False)
            for part, child in x.named_children():
                self._visit(child, _joined(name, part))
            return
        try:
            attributes = object.__getattribute__(x, "__dict__")
        except AttributeError:
            attributes = None
        if isinstance(attributes, dict):
            self._slot(attributes, dict(attributes), name, whole=True)
        for cls in type(x).__mro__:
            if _foreign(cls):
                continue
            for key, value in list(vars(cls).items()):
                if isinstance(value, types.FunctionType):
                    self._visit(value, name)
                elif isinstance(value, Tensor):
                    self._slot(cls, {key: value}, cls.__name__, whole=False)

    def _slot(self, place: Any, contents: Any, name: str, *, whole: bool) -> None:
        self.slots.append(Slot(place, contents, name, whole))
        for key, value in contents.items() if isinstance(contents, dict) else enumerate(contents):
            self._visit(
                value, name if key in ("_parameters", "_buffers", "_modules", "cell_contents") else _joined(name, key)
            )

    def _unused(self, name: str) -> str:
        taken = {kept.name for kept in self.tensors.values()}
        return next(n for n in (name, *(f"{name} ({i})" for i in range(2, len(taken) + 3))) if n not in taken)


def _drawing_state(x: Any) -> Any:
    return x.get_state() if isinstance(x, torch.Generator) else x.bit_generator.state


def _leaf(kept: Kept, dtype: torch.dtype | None) -> Tensor:
    """A tensor of its own that stands for a kept one."""
    own = kept.copy.dtype
    wanted = torch.promote_types(own, dtype) if dtype and own.is_complex else dtype
    new = kept.copy.to(wanted) if wanted and (own.is_floating_point or own.is_complex) else kept.copy
    new = new.clone() if new is kept.copy else new
    if isinstance(kept.tensor, nn.Parameter):
        return nn.Parameter(new, kept.tensor.requires_grad)
    return new.requires_grad_(kept.tensor.requires_grad)


def _substituted(x: Any, fresh: Mapping[int, Tensor]) -> Any:
    """A value with fresh tensors for kept ones: of a list or a dict its values, of a tuple all the way down."""

    def inner(v: Any) -> Any:
        if isinstance(v, Tensor):
            return fresh.get(id(v), v)
        if isinstance(v, functools.partial):
            return functools.partial(inner(v.func), *map(inner, v.args), **{k: inner(u) for k, u in v.keywords.items()})
        if isinstance(v, tuple) and not isinstance(v, torch.Size):
            return type(v)(*map(inner, v)) if hasattr(v, "_fields") else tuple(map(inner, v))
        return v

    if isinstance(x, dict):
        return {k: inner(v) for k, v in x.items()}
    return list(map(inner, x)) if isinstance(x, list) else inner(x)


def _foreign(x: Any) -> bool:
    return (getattr(x, "__module__", None) or "builtins").split(".")[0] in FOREIGN


def _may_hold_state(value: Any) -> bool:
    """Whether a global that a function names may be state of the field, and no library."""
    if isinstance(value, (Tensor, nn.Module, list, dict, tuple, int, float)):
        return True
    return not isinstance(value, (*PLAIN, *OPAQUE)) and not _foreign(value if callable(value) else type(value))


def _joined(name: str, key: Any) -> str:
    if isinstance(key, str):
        return f"{name}.{key}".strip(".")
    return f"{name}[{key!r}]"


def _same(a: Any, b: Any) -> bool:
    """Whether two values are the same, bit by bit; whatever is no tensor, number or text is the same if it is one."""
    if a is b:
        return True
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if (a.shape, a.dtype, a.device, a.layout) != (b.shape, b.dtype, b.device, b.layout):
            return False
        with torch.no_grad():
            if torch.strided not in (a.layout, b.layout):
                a, b = a.to_dense(), b.to_dense()
            return torch.equal(a, b) or (
                a.is_floating_point()
                and torch.equal(a.isnan(), b.isnan())
                and torch.equal(a.nan_to_num(), b.nan_to_num())
            )
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and bool(np.array_equal(a, b))
    return isinstance(a, PLAIN) and type(a) is type(b) and a == b
