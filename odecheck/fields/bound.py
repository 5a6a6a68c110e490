"""What belongs to one solve alone, bound to a field for as long as somebody may ask for the solve again."""

from __future__ import annotations

from torch import Tensor, nn

# what torchdiffeq looks for on the field that it is given
CALLBACKS = tuple(f"callback_{what}step{end}" for what in ("", "accept_", "reject_") for end in ("", "_adjoint"))


class Bound(nn.Module):
    """F(t, y) = field(t, y, *bound): a field with tensors of one solve.

    An adjoint solve evaluates its field again long after the forward one, when the module may have begun other solves.
    So what changes from solve to solve is no attribute of the module: each solve takes a new `Bound`. Hooks belong on
    `field`, which stays; callbacks that it has when the solve begins are called.

    Args:
        field: a module called as field(t, y, *bound).
        *bound: tensors of this solve. No gradient flows into them, and they are not saved.
    """

    def __init__(self, field: nn.Module, *bound: Tensor) -> None:
        super().__init__()
        self.field = field
        self._names = tuple(f"bound{i}" for i in range(len(bound)))
        for name, tensor in zip(self._names, bound, strict=True):
            self.register_buffer(name, tensor.detach(), persistent=False)
        for name in CALLBACKS:
            if hasattr(field, name):
                setattr(self, name, getattr(field, name))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The rate at (t, y), shaped like y."""
        return self.field(t, y, *(getattr(self, name) for name in self._names))
