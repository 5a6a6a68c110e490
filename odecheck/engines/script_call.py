"""How a library is called in a script, as text: `solve(field, y0, ts, **how)` in as few lines as its users would write.

Each library says it for its own engines, in its declaration; `odecheck reproduce` puts it into a script.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, cast

from torch import Tensor

Language = Literal["torch", "jax", "numpy"]


@dataclass(frozen=True)
class Call:
    """A library's call, as text.

    imports, body: lines, the body of a function `solve`; how: its keywords, as text.
    language: of the vector field; in torch it is solve(field, y0, ts, **how), otherwise solve(y0, p, ts, **how) without
    a module. time: how the field takes the time that the library hands to it. differentiate: the library's function for
    a gradient, where it is not torch's backward(). step: where in `how` the length of a fixed step stands.
    """

    imports: list[str]
    body: list[str]
    how: str
    language: Language = "torch"
    time: str = "t"
    differentiate: str = ""
    step: str = "['step_size']"

    def states(self, y0: str = "y0", ts: str = "ts", how: str = "") -> str:
        """The text of one solve, of which an array comes back: y0 and ts are texts of arrays."""
        keywords = how or self.how
        if self.language == "torch":
            return f"solve(Field(p), torch.tensor({y0}), torch.tensor({ts}), {keywords}).detach().numpy()"
        if self.language == "jax":
            return f"np.array(solve(jnp.array({y0}), jnp.array(p), jnp.array({ts}), {keywords}))"
        return f"solve({y0}, p, {ts}, {keywords})"


ScriptCall = Callable[[str, Mapping[str, Any], Mapping[str, Any]], Call]
"""The name of a declared engine, the keywords that the solver gives (method, rtol, …) and its options → the call."""


def text(value: Any) -> str:
    """A keyword's value as Python text."""
    if isinstance(value, Tensor):
        numbers = cast("list[Any]", value.tolist())  # pyright: ignore[reportUnknownMemberType]
        return f"torch.tensor({numbers}, dtype={value.dtype})"
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return "{" + ", ".join(f"{k!r}: {text(v)}" for k, v in items) + "}"
    return f"{value:.6g}" if isinstance(value, float) and float(f"{value:.6g}") == value else repr(value)


def keywords(values: Mapping[str, Any]) -> str:
    """Keywords of a call, as text."""
    return ", ".join(f"{k}={text(v)}" for k, v in values.items())


def like_torchdiffeq(
    line: str,
    body: str,
    how: Mapping[str, Any],
    options: Mapping[str, Any],
    more: Mapping[str, Any] = MappingProxyType({}),
    *,
    differentiate: str = "",
) -> Call:
    """The call of a function that takes what torchdiffeq.odeint takes.

    Args:
        line: its import.
        body: what `solve` returns.
        how: the keywords that the solver gives.
        options: the solver's options.
        more: keywords of the engine.
        differentiate: as of `Call`.
    """
    plain = {**how, **({"options": options} if options else {}), **more}
    return Call([line], [body], keywords(plain), differentiate=differentiate, step="['options']['step_size']")
