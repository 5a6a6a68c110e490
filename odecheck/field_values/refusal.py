"""The words in which a field is refused: what was seen, its usual cause, what to type."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
from odecheck_reference.bounded import Array
from odecheck_reference.fields import Field

from odecheck.fields.callback import CallbackField, own_name

from .answers import CAUSES, DRAWN, KEPT_OUTSIDE, OF_INPUTS, OF_ROWS, Answer
from .jets import ask_jets
from .line import NoBackward
from .look import FieldSeen, look
from .points import rough_path
from .seen import Defect, DerivativesSeen

Words = tuple[str, str, str]
# cause and fix of a derivative that is off in the direction of t, and in no other
IN_TIME = (
    "torch.tensor(t), t.item(), float(t) or t.detach() inside forward: a new number, from which no derivative "
    "leads back to t; or t.float(), float32",
    "t itself in forward: t.to(y), t.expand(len(y), 1), t * torch.ones_like(y[:, :1])",
)


def refusal_of(field: Field, theta: Array, ts: Array, knots: Array) -> Words | None:
    """Why the derivatives of a problem's field cannot be taken for true.

    Args:
        field: A module that is called back, or a numpy field with derivatives made by hand.
        theta: (params,).
        ts: (times,), monotone.
        knots: (times, batch, state), states at ts.

    Returns:
        What was seen, its usual cause and what to type; None of a field that nothing speaks against. Fields of the
        reference's own package are not asked: its tests hold their formulas against their values.
    """
    if isinstance(field, CallbackField):
        try:
            seen = look(lambda: copy.deepcopy(field.module), ts, knots, features=field.features)
            return refusal(seen, lambda name: own_name(field.module, name))
        except NoBackward as error:
            return (
                f"the backward pass of the field raised {error}",
                "an operation in place on something that the backward pass needs, or a custom backward that fails",
                "out-of-place operations in forward: y = y * 2 for y.mul_(2)",
            )
    return None if type(field).__module__.startswith("odecheck_reference.") else _of_jets(field, theta, ts, knots)


def in_time_alone(words: Words) -> bool:
    """Whether a field is refused for its derivative in time, and would be let in without it.

    Args:
        words: What `refusal_of` gave.
    """
    return words[1:] == IN_TIME


def refusal(seen: FieldSeen, called: Callable[[str], str] = str) -> Words | None:
    """The words for what was seen of a field.

    Args:
        seen: What `look` gave.
        called: How the user calls a parameter of this name.

    Returns:
        What was seen, its usual cause and what to type; None of a field that nothing speaks against.
    """
    off = [answer for answer in seen.answers if answer.off]
    if seen.without_influence and [answer.question for answer in off] == [KEPT_OUTSIDE]:
        off = []  # the parameter that it stands in the place of says more
    if off:
        return _not_a_function(off[0], [answer.question for answer in off[1:]])
    if seen.without_influence:
        return _kept([called(name) for name in seen.without_influence])
    if seen.derivatives.worst is None:
        return None
    along = [called(name) for name in seen.derivatives.worst.along]
    if seen.derivatives.worst.flat:
        return _coarse(seen.derivatives.worst, along)
    return _another_derivative(seen.derivatives, along)


def _of_jets(field: Field, theta: Array, ts: Array, knots: Array) -> Words | None:
    path = rough_path(lambda t, y: np.asarray(field.jet(t, y, theta, 0).value, dtype=np.float64), ts, knots)
    seen = ask_jets(field, theta, path)
    if seen.worst is None:
        return None
    worst = seen.worst.sample
    return (
        f"the {worst.mode} in the jet of {type(field).__name__} is off by {worst.defect:.2g} of its size "
        f"(±{worst.bar:.1g}) from that of its values, at t = {worst.t:.6g}; seen at {len({s.t for s in seen.off})} of "
        f"{len(seen.judged)} random times",
        "a slip in a derivative that was derived by hand, or in the order of its axes: t, y, theta",
        "the derivative mended in jet(t, y, theta, order); jet(...).first has axes (batch, component, t + y + theta)",
    )


def _not_a_function(answer: Answer, questions: list[str]) -> Words:
    if answer.raised:
        return (
            f"the field does not answer every call: {answer.question} it raises {answer.raised}; a copy that nobody "
            f"has called before answers there, at t = {answer.t:.6g}",
            "a limit on the count of calls, kept from one solve to the next, or something that a call uses up",
            "no such limit while it is verified: the number in that line raised, to 1e9 or so (a verdict takes "
            "many more calls than a solve)",
        )
    kept_in = f" ({answer.kept_in})" if answer.kept_in else ""
    others = f" (and {', '.join(questions)})" if questions else ""
    fix = (
        "module.eval() for dropout and batch normalisation; keep nothing between calls: compute from t, y and "
        "self.weight in forward, and write into new tensors"
    )
    if answer.question == DRAWN:
        fix = (
            "field.register_buffer('noise', torch.randn_like(y0)) once, before it is verified, and no draw in forward; "
            "a solve of a training, with noise of its own, is judged by odecheck.watch"
        )
    of_gradient = answer.question in (OF_ROWS, OF_INPUTS)
    if of_gradient:
        fix = (
            "in backward, what is right for any number of rows and any ctx.needs_input_grad; to see it: "
            "torch.autograd.gradcheck for the shapes of the training"
        )
    return (
        f"the field is not a function of (t, y, parameters): at t = {answer.t:.6g} its "
        f"{'gradient' if of_gradient else 'answer'} "
        f"{answer.question}{kept_in}{others} is another one, by {answer.gap:.2g} of its size",
        CAUSES[answer.question],
        fix,
    )


def _kept(names: Sequence[str]) -> Words:
    return (
        f"no number that the parameters {', '.join(names)} are given changes the field, though they take part in it",
        "a weight that was cached at an earlier call, on the module or in a global, beside a zero times the true one",
        f"self.{names[0]} itself in forward, or {names[0]}.requires_grad_(False) if it is unused",
    )


def _another_derivative(seen: DerivativesSeen, along: Sequence[str]) -> Words:
    assert seen.worst is not None
    worst, off = seen.worst.sample, [s.t for s in seen.off]
    where = f" in the direction of {', '.join(along[:4])}" if along else ""
    observed = (
        f"the derivative of the field by automatic differentiation is off by {worst.defect:.2g} of its size (±"
        f"{worst.bar:.1g}) from that of its values, at t = {worst.t:.6g}{where}; "
    )
    if list(along) == ["t"]:  # looked for no more where it was seen: all other places were asked without time
        return (f"{observed}in all other directions it is right at {len(seen.judged)} random times", *IN_TIME)
    observed += f"seen at {len(set(off))} of {len(seen.judged)} random times, from t = {min(off):.6g} to {max(off):.6g}"
    return (
        observed,
        "detach(), .data, .item() or no_grad() inside forward, perhaps in a branch on t or y; a custom backward that "
        "is not the derivative of its forward; rounding or float32 inside",
        "forward without these, torch.autograd.gradcheck for a custom backward; or Problem(...) with a numpy formula "
        "of the field, to have it judged",
    )


def _coarse(worst: Defect, along: Sequence[str]) -> Words:
    return (
        f"at t = {worst.sample.t:.6g} the values of the field do not change when {[*along, 'everything'][0]} "
        "changes in its tenth digit",
        "float32 inside, t.float() or y.float() with a cast back, or rounding",
        "torch.set_default_dtype(torch.float64) at the top of the file that is verified; or t.to(y.dtype) and "
        "constants of y.dtype in forward (torch.ones(len(y), 1, dtype=y.dtype) * t, or t.expand(len(y), 1)); and no "
        ".float() or round() inside it; a step in float32, as it trains, is judged by odecheck.watch",
    )
