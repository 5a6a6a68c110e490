"""What a field that raises usually suffers from, and what to type, by the words of its exception."""

from __future__ import annotations

from odecheck.foreign import words

# words of which one is in the message, the type of the exception, its usual cause, what to type: the first that fits
_RAISED: tuple[tuple[tuple[str, ...], type[Exception], str, str], ...] = (
    (
        ("dtype", "expected scalar type"),
        Exception,
        "a tensor of float32 that forward makes, or that the module does not hold",
        "torch.set_default_dtype(torch.float64) at the top of the file that is verified; or torch.zeros(..., "
        "dtype=y.dtype), y.new_zeros(...) and value.to(y.dtype) inside forward",
    ),
    (
        ("device",),
        Exception,
        "a tensor inside the module is on another device",
        "self.register_buffer('name', value), or value.to(y.device) inside forward",
    ),
    (
        ("does not require grad", "does not have a grad_fn"),
        Exception,
        "a field that differentiates inside, called where no graph is recorded, as solvers call it",
        "with torch.enable_grad(): y = y.requires_grad_() if y.is_leaf else y; ... before torch.autograd.grad",
    ),
    (
        ("3 were given",),
        TypeError,
        "a whole block, which solves inside its forward, or a field without t",
        "the field inside the block, FILE.py:block.field, or `odecheck watch` for a script that calls the block; for a "
        "field without t: lambda t, y: field(y)",
    ),
    (
        ("argument",),
        TypeError,
        "forward takes more arguments than t and y",
        "functools.partial(field, u=...) in the place of the field, with the further arguments by name",
    ),
    (
        ("",),
        Exception,
        "forward takes other arguments, or a state of another shape",
        "def forward(self, t, y): ... with y of shape (batch, *features), and an example state of that shape: --state "
        "'[[1.0, 0.5]]'",
    ),
)


def cause_and_fix(error: Exception) -> tuple[str, str]:
    """The usual cause of what a field raised when it was called as module(t, y), and what to type.

    Args:
        error: What it raised.

    Returns:
        Both, in words.
    """
    told = words(error)
    return next(
        (cause, fix)
        for parts, kind, cause, fix in _RAISED
        if isinstance(error, kind) and any(part in told for part in parts)
    )
