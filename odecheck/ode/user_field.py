"""The user's vector field as a pure function of time, state and every tensor it reads."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor
from torch.autograd import forward_ad

from odecheck.compat import is_batched, is_forward_mode, is_transforming, is_wrapped, unwrapped

from .captured_tensors import Substitute, modules_of, swapped, tensors_of
from .fields import Field, Leaves, Rates, batch_levels

# the same operations may round differently twice on a GPU: that much of a rate's size is no change, in units of eps
SAME = 100.0


class UserField(Field):
    """`func(t, y)`, and the scalar `cost(t, y)` as a quadrature, with their parameters taken from outside.

    The parameters and floating-point buffers of a module, or of the modules that a function closes over, are
    swapped for the given ones while it is evaluated, and put back; nothing else on the module is touched. Other
    declared tensors that a function closes over are swapped wherever an operation of torch meets them.

    Attributes:
        inputs: the tensors that the field depends on, in the order in which calls expect them.
        declared: the indices of `adjoint_params` in `inputs`, in the caller's order.
        zeros: whether a parameter that the field never reads has a gradient of zeros, or none.
    """

    tangents = 0

    def __init__(
        self,
        func: Callable,
        single: bool,
        states: int,
        declared: Sequence[Tensor] | None,
        cost: Callable | None = None,
        check_field: bool = True,
        zeros: bool = False,
    ):
        self.func, self.cost, self.single, self.states = func, cost, single, states
        self.quadratures = () if cost is None else (torch.Size([]),)
        self.batch = (0,) * (states + len(self.quadratures))
        slots: dict[int, list[tuple[dict, str]]] = {}
        tensors: dict[int, Tensor] = {}
        for module in dict.fromkeys(modules_of(func) + modules_of(cost)):
            for holder, name, tensor in tensors_of(module):
                places = slots.setdefault(id(tensor), [])
                if not any(holder is h and name == n for h, n in places):
                    places.append((holder, name))
                tensors[id(tensor)] = tensor
        foreign = {id(x): x for x in declared or () if id(x) not in slots}
        wanted = None if declared is None else {id(x) for x in declared}
        self.slots = list(slots.values())
        self.foreign = list(foreign)
        # What a module has and the caller left out of `adjoint_params` is a constant, as the caller asked.
        own = [x if wanted is None or key in wanted else x.detach() for key, x in tensors.items()]
        self.inputs = [*own, *foreign.values()]
        places = {key: i for i, key in enumerate([*tensors, *foreign])}
        self.declared = [places[id(x)] for x in declared or ()]
        self.zeros, self._check_field = zeros, check_field
        self._looking = False  # whether the next evaluation is to be looked at
        self._keep_alive = list(foreign.values())  # an id stands for a tensor only while the tensor lives
        self._met: set[int] = set()  # those of `foreign` that an evaluation has met
        self._at_start: tuple[Tensor, Leaves, Leaves] | None = None  # time, state and rates when the solve was made

    def __call__(self, t: Tensor, y: Leaves, p: Leaves) -> tuple[Tensor, ...]:
        """The rates of the states, then that of the cost if there is one."""
        with self.fixed(p) as rates:
            return rates(t, y)

    @contextmanager
    def fixed(self, p: Leaves) -> Iterator[Rates]:
        """As `Field.fixed`: while active, the given tensors are in the places of the field's own."""
        table = dict(zip(self.foreign, p[len(self.slots) :], strict=True))
        substitute = Substitute(table) if table else None
        with swapped(self.slots, p):
            yield lambda t, y: self._rates(t, y, substitute)
        if substitute is not None:
            self._refuse_changed_closure(substitute.met)

    def _rates(self, t: Tensor, y: Leaves, substitute: Substitute | None) -> tuple[Tensor, ...]:
        t = t.to(y[0].dtype)  # the solver's times may have more digits than the state
        if self._looking:
            return self._look_at(t, y, substitute)
        state = y[0] if self.single else tuple(y)
        with substitute or nullcontext():
            out = self.func(t, state)
            cost = () if self.cost is None else (self.cost(t, state),)
        rates = (out,) if self.single else tuple(out)
        _check_rates(rates, y)
        if cost and cost[0].shape:
            shape = tuple(cost[0].shape)
            raise ValueError(f"the running cost has shape {shape}; it has to be a scalar: sum over the batch")
        return (*rates, *cost)

    def _refuse_changed_closure(self, met: set[int]) -> None:
        if not self._met <= met:
            raise RuntimeError(
                "the field read a tensor of adjoint_params when the solve was made, and does not read it now that "
                "the solve is being differentiated, so its derivative would be wrong. Something that the field "
                "reaches through a list or an attribute was changed in between, or was only lent to it by "
                "torch.func.functional_call. Make the field an nn.Module that owns its parameters."
            )
        self._met = met

    def _look_at(self, t: Tensor, y: Leaves, substitute: Substitute | None) -> tuple[Tensor, ...]:
        self._looking = False
        with torch.enable_grad():
            rates = self._rates(t, y, substitute)
        self._refuse_tracked(t, y, rates, set())
        return rates

    def look_at_first_evaluation(self) -> None:
        """As `refuse_hidden_tensors`, at the next evaluation, wherever it is: of plain tensors, in no transform."""
        self._looking = True

    def refuse_hidden_tensors(self, t: Tensor, y: Leaves) -> None:
        """Refuse a field that depends on a tensor that is being differentiated or batched and was not declared.

        Raises:
            ValueError: it does.
        """
        constants = [x.detach() for x in self.inputs]
        with torch.enable_grad():
            rates = self(t.detach(), [x.detach() for x in y], constants)
        known = set().union(*(batch_levels(x) for x in (t, *y, *constants)))
        self._refuse_tracked(t, [*y, *constants], rates, known)

    def _refuse_tracked(self, t: Tensor, given: Leaves, rates: Leaves, known: set[int]) -> None:
        y = given[: self.states]
        if is_plain(t, *given, *rates):
            self._at_start = (
                t.detach().clone(),
                [x.detach().clone() for x in y],
                [rate.detach().clone() for rate in rates],
            )
        if any(_is_tracked(rate) or batch_levels(rate) - known for rate in rates):
            raise ValueError(
                "the field depends on a tensor that is being differentiated or batched, but that is neither a "
                "parameter nor a buffer of the field, so its derivative would be silently wrong. "
                "Usually the field closes over it, or keeps it in a plain attribute or list. "
                "Do one of these: (a) odeint(..., adjoint_params=(tensor, ...)) with every such tensor; "
                "(b) register it on the nn.Module with register_parameter or register_buffer; "
                "(c) pass tensor.detach() to the field if no derivative is wanted."
            )

    def refuse_changed(self) -> None:
        """Refuse a field whose rates at the start are others now than when the solve was made.

        Asked of plain tensors alone: within a transform of torch.func nothing can happen between solve and derivative.

        Raises:
            RuntimeError: they are.
        """
        if not self._check_field or self._at_start is None or not is_plain(*self.inputs):
            return
        t, y, before = self._at_start
        with torch.no_grad():
            now = self(t, y, [x.detach() for x in self.inputs])
        for old, new in zip(before, now, strict=True):
            size = float(old.abs().max()) if old.numel() else 0.0
            off = float((new - old).abs().max()) if old.numel() else 0.0
            if off > SAME * torch.finfo(old.dtype).eps * size:
                raise RuntimeError(
                    f"the field is not the one that was solved: its rate at the start has changed by {off:.2g}, of "
                    f"{size:.2g}. Derivatives are solves of their own, which evaluate the field again. Usually an "
                    "attribute, a buffer or a parameter's .data was changed before backward(), or the field draws "
                    "random numbers. Call backward() first, use one module for each solve, or draw the numbers once."
                )


def _check_rates(rates: Leaves, y: Leaves) -> None:
    if len(rates) != len(y):
        seen = f"the state has {len(y)} tensors and the field returned {len(rates)}"
        raise ValueError(f"{seen}: return one rate per state")
    for i, (rate, state) in enumerate(zip(rates, y, strict=True)):
        if not isinstance(rate, Tensor):
            raise TypeError(f"rate {i} is a {type(rate).__name__}, not a tensor")
        if rate.shape != state.shape:
            raise ValueError(
                f"rate {i} has shape {tuple(rate.shape)} and its state {tuple(state.shape)}. The field has to return "
                "the time derivative of every entry; a forgotten reshape or a broadcast is the usual cause."
            )
        if rate.dtype != state.dtype:
            raise TypeError(
                f"rate {i} is {rate.dtype} and its state {state.dtype}. "
                f"Type field.to({state.dtype}), or y0.to({rate.dtype})."
            )


def is_plain(*tensors: Tensor) -> bool:
    """Whether these are tensors with numbers of their own, outside of every transform."""
    outside = not is_forward_mode() and not is_transforming()
    return outside and not any(is_wrapped(x) for x in tensors)


def is_differentiating() -> bool:
    """Whether anybody could ask for a derivative, or batch, what is computed now."""
    return torch.is_grad_enabled() or is_forward_mode() or is_transforming()


def _is_tracked(x: Tensor) -> bool:
    """Whether x carries a reverse history or a tangent, at any level of torch.func."""
    while True:
        batch = is_batched(x)
        if not batch and x.requires_grad:
            return True
        if not batch and is_forward_mode() and forward_ad.unpack_dual(x).tangent is not None:
            return True
        if not is_wrapped(x):
            return False
        x = unwrapped(x)
