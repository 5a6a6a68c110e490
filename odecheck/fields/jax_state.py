"""A state of jax that is any pytree of arrays, as one vector of numbers."""

# pyright: standard
# (jax comes with partial types)
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from odecheck.errors import BadInput
from odecheck.foreign import literal, said

from .from_jax import COMPLEX, FromJax, jax_double


@dataclass(frozen=True, eq=False)
class Layout:
    """How the numbers of a state lie one after the other: leaf by leaf, in the order of `jax.tree_util`.

    Attributes:
        example: A state: a pytree whose leaves are arrays of float64.
    """

    example: Any

    @property
    def size(self) -> int:
        """How many numbers a state has."""
        return sum(leaf.size for leaf in jax_double().tree_util.tree_leaves(self.example))

    def vector(self, state: Any) -> Any:
        """The numbers of a state, (size,)."""
        return self.rows(state, ())

    def rows(self, states: Any, axes: tuple[int, ...]) -> Any:
        """The numbers of several states whose leaves have further axes in front: (*axes, size)."""
        jnp = jax_double().numpy
        leaves = jax_double().tree_util.tree_leaves(states)
        return jnp.concatenate([jnp.reshape(leaf, (*axes, -1)) for leaf in leaves], axis=-1)

    def state(self, vector: Any) -> Any:
        """The state of numbers (size,)."""
        jax = jax_double()
        leaves, tree = jax.tree_util.tree_flatten(self.example)
        ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
        parts = jax.numpy.split(vector, ends)
        return tree.unflatten([part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)])

    def of_this_form(self, what: str, found: Any, axes: tuple[int, ...], fix: str) -> None:
        """Refuse states of another form.

        Args:
            what: Whose they are, for the message.
            found: A pytree of arrays, or of their shapes and number types.
            axes: In front of those of the state.
            fix: What to type.

        Raises:
            BadInput: Another pytree, other shapes, or another number type than float64.
        """
        flatten = jax_double().tree_util.tree_flatten
        (leaves, tree), (wanted, own) = flatten(found), flatten(self.example)
        if tree != own:
            raise BadInput(f"{what} is the pytree {tree}, and the state is {own}", "a part left out or added", fix)
        for leaf, like in zip(leaves, wanted, strict=True):
            if leaf.shape != (*axes, *like.shape):
                raise BadInput(
                    f"{what} has shape {leaf.shape} where {(*axes, *like.shape)} is asked for",
                    "a batch axis that was dropped or added, or another number of times",
                    fix,
                )
            if leaf.dtype != np.float64:
                raise BadInput(
                    f"{what} is {leaf.dtype} for a state of float64",
                    "a cast to float32 on the way, or a constant of it: everything is float64 here",
                    ".astype(y.dtype), or no cast at all",
                )


def layout_of(y0: Any) -> Layout:
    """The layout of an example state.

    Args:
        y0: A pytree of arrays or numbers; what is not float64 is made so.

    Returns:
        Its layout, with the state as the example.

    Raises:
        BadInput: A leaf that is no array of real numbers, or no leaf at all.
    """
    leaves, tree = jax_double().tree_util.tree_flatten(y0)
    if not leaves:
        raise BadInput("the example state has no numbers", "None, or an empty pytree", "y0 as diffeqsolve takes it")
    made = []
    for leaf in leaves:
        array = np.asarray(leaf)
        if array.dtype.kind == "c":
            raise BadInput(f"the example state is {array.dtype}", *COMPLEX)
        if not jax_double().dtypes.issubdtype(array.dtype, np.number):
            raise BadInput(
                f"the example state has {literal(leaf)} in it, which is no array of numbers",
                "a module, a text or a truth value in the state",
                "y0 as diffeqsolve takes it: a pytree of arrays of numbers",
            )
        made.append(array.astype(np.float64))
    return Layout(tree.unflatten(made))


def on_vectors(layout: Layout, field: Any, args: Any) -> FromJax:
    """A field of jax on any pytree, as a torch module on rows of numbers (batch, size).

    Args:
        layout: Of its state.
        field: Called as field(t, y, args), y a pytree.
        args: What it is given.

    Returns:
        The module.

    Raises:
        BadInput: The field cannot be called, raises, or gives another pytree than the state.
    """
    jax = jax_double()
    made = FromJax(field, args, layout).double()
    field, args = made.whole()
    try:
        found = jax.eval_shape(lambda y: field(jax.numpy.asarray(0.25), y, args), layout.example)
    except Exception as error:
        raise BadInput(
            f"field(t, y, args) raised {said(error).splitlines()[0]}",
            "a field that takes other arguments, or a state of another form",
            "def field(t, y, args), with y as diffeqsolve gives it: the state of one solve",
        ) from error
    fix = "a field that gives the slopes in the form of the state: for y = (a, b) it is (da, db)"
    layout.of_this_form("the field's value", found, (), fix)
    return made
