"""Named parts of a state (h; h, m; h, m, v) that live side by side on one tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


class FieldError(ValueError):
    """A state or an inner network that does not fit a field: what was seen, the usual cause, what to type."""


class Parts:
    """The parts of a state along one axis.

    Args:
        sizes: name → size along the axis; None for a part that shares what the others leave, in equal shares.
        dim: the axis, counted from the end so that it means the same with and without a batch: -1 for dense
            states (batch, features), -3 for images (batch, channels, height, width).

    Raises:
        FieldError: an axis that is counted from the front.
    """

    def __init__(self, sizes: Mapping[str, int | None], dim: int = -1) -> None:
        if dim >= 0:
            raise FieldError(
                f"the parts' axis is {dim}: count it from the end, -1 for (batch, features) and -3 for "
                "(batch, channels, height, width)"
            )
        self.sizes = dict(sizes)
        self.dim = dim

    @property
    def names(self) -> tuple[str, ...]:
        """The parts, in order."""
        return tuple(self.sizes)

    def slices(self, total: int) -> dict[str, slice]:
        """Where each part sits along the axis.

        Args:
            total: how many components the state has along it.

        Raises:
            FieldError: that many do not split into the parts.
        """
        fixed = sum(size for size in self.sizes.values() if size is not None)
        shares = sum(size is None for size in self.sizes.values())
        left = total - fixed
        if left < shares or (left % shares if shares else left):
            raise FieldError(
                f"a state of {total} along axis {self.dim} does not split into {self._described()}. "
                "A plain h was probably given where the whole state is meant: build it with field.start(h)"
            )
        found: dict[str, slice] = {}
        begin = 0
        for name, size in self.sizes.items():
            end = begin + (left // shares if size is None else size)
            found[name] = slice(begin, end)
            begin = end
        return found

    def split(self, y: Float[Tensor, "*shape"]) -> tuple[Tensor, ...]:
        """The parts of a state, in order, as views of it.

        Raises:
            FieldError: the state has no such axis, or does not split along it.
        """
        if y.dim() < -self.dim:
            raise FieldError(
                f"a state of shape {tuple(y.shape)} has no axis {self.dim}: {self._described()} lie there. "
                "Give the field the axis of the features (dim=-1) or of the channels (dim=-3)"
            )
        return tuple(y.narrow(self.dim, s.start, s.stop - s.start) for s in self.slices(y.shape[self.dim]).values())

    def join(self, *parts: Tensor) -> Float[Tensor, "*shape"]:
        """The state of given parts, in order."""
        return torch.cat(parts, dim=self.dim)

    def start(self, first: Tensor, others: Mapping[str, Tensor]) -> Float[Tensor, "*shape"]:
        """The state of a given first part.

        Args:
            first: the first part.
            others: name → part; one that is not given starts at zero.

        Raises:
            FieldError: an unknown name, or a part of another shape.
        """
        unknown = set(others) - set(self.names[1:])
        if unknown:
            raise FieldError(f"this state has the parts {self.names}, not {sorted(unknown)}")
        whole = [first]
        for name in self.names[1:]:
            size = self.sizes[name]
            shape = list(first.shape)
            shape[self.dim] = shape[self.dim] if size is None else size
            part = others.get(name, first.new_zeros(shape))
            if list(part.shape) != shape:
                raise FieldError(f"part {name!r} has shape {tuple(part.shape)}, it has to be {tuple(shape)}")
            whole.append(part)
        return self.join(*whole)

    def _described(self) -> str:
        shown = (name if size is None else f"{name} ({size})" for name, size in self.sizes.items())
        return "the parts " + ", ".join(shown) if len(self.sizes) > 1 else next(shown)


class PartedField(nn.Module):
    """A vector field called as field(t, y), with y of named parts.

    Args:
        parts: the parts and their axis.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.parts = parts

    def start(self, first: Tensor, **others: Tensor) -> Float[Tensor, "*shape"]:
        """The initial state: the first part as given, the others as given or zero.

        Args:
            first: the first part, (batch, …).
            **others: further parts by name.

        Raises:
            FieldError: an unknown name, or a part of another shape.
        """
        return self.parts.start(first, others)


def force(inner: Any, t: Tensor, h: Tensor, like: Tensor) -> Tensor:
    """What an inner network gives: f = inner(t, h).

    Args:
        inner: called as inner(t, h).
        t: a number, or a time for each row.
        h: what the network sees.
        like: a tensor of the shape and number type that f has to have.

    Raises:
        FieldError: f has others, or is no tensor, or the network's parameters are of another number type than h.
    """
    try:
        f = inner(t, h)
    except RuntimeError as error:
        kinds = {p.dtype for p in inner.parameters()} if isinstance(inner, nn.Module) else set[torch.dtype]()
        if not kinds or h.dtype in kinds:
            raise
        raise FieldError(
            f"the inner network has parameters of {', '.join(map(str, kinds))}, the state is {h.dtype}. Convert one "
            f"of them: inner.to({h.dtype}), or the state to the type of the parameters"
        ) from error
    if not isinstance(f, Tensor):
        raise FieldError(f"the inner network returned {type(f).__name__}: f(t, h) has to return one tensor")
    if f.shape != like.shape:
        raise FieldError(
            f"the inner network turned {tuple(h.shape)} into {tuple(f.shape)}, but f(t, h) has to be "
            f"{tuple(like.shape)}. Give its last layer as many outputs as that part of the state has"
        )
    if f.dtype != like.dtype:
        raise FieldError(
            f"the inner network returned {f.dtype} for a state of {like.dtype}. Convert one of them: "
            f"inner.to({like.dtype}) or y.to({f.dtype})"
        )
    return f
