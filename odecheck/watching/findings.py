"""Mistakes that users make around a solve, each in plain words: what was seen, the usual cause, what to type."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch

from odecheck.judge import Verdict

from .call import Call
from .field64 import Array
from .gradient_findings import NOTHING, named
from .promise import Promise
from .repeat import Repeat, real
from .row import Row
from .values import Lie

# a backward solve that takes so many times the evaluations of the forward one is worth a note
DEAR = 5.0
# a share of the steps granted after which a solve is about to use them up
NEARLY_ALL = 0.9
# an error that is worth a note, relative
COARSE = 1e-2
# a gradient that is off by this part, within its tolerance, is worth a note
LOOSE = 0.05
# so many steps at min_step are no chance
SHORTEST_STEPS = 3
# what explains a large error better than a loose tolerance does
EXPLAIN = {
    "stiff",
    "step size vanishes",
    "gradient below atol",
    "half precision",
    "float32 hurts",
    "captured, gradient lost",
    "changed before backward",
    "event time held fixed",
    "event gradient turned",
    "event parameter, gradient lost",
}
# steps limited by stability: length times rate, and how many of them make a stiff problem
STIFF_LENGTH, STIFF_STEPS = 1.5, 30
# no explicit method is stable with steps of so many time constants
STABLE_LENGTH = 20.0


def of_the_call(call: Call, row: Row) -> None:
    """What the call itself says: an exception, no gradient, a loss that sees one time, a start that was changed."""
    if call.raised:
        _of_the_exception(call, row, call.raised, "the solve")
        return
    if call.start_moved:
        row.say(
            "changes its input",
            "y0 is another tensor after the solve than before: the field or a callback writes "
            "into the state that it is called with; write into a new tensor",
        )
    asks = any(call.starts_ask) or any(
        k.tensor.requires_grad for k in (call.held.tensors.values() if call.held else ())
    )
    if call.cotangent is None and asks:
        why = "it runs under no_grad" if not call.grad_mode else "its result does not reach a loss that went backward"
        row.say("no gradient", f"no gradient came back to this solve: {why}")
    if call.cotangent is not None and not call.posed.event:
        seen = [i for i in range(len(call.times)) if any(bool(c[i].any()) for c in call.cotangent)]
        if seen == [0]:
            row.say(
                "loss sees the start",
                "the loss sees the solution at its first time alone, which is y0: the solve "
                "has no effect; index the last time, solution[-1]",
            )
        elif len(seen) == 1 and len(call.times) > 2:
            row.say(
                "loss sees one time",
                f"the loss sees time {seen[0]} alone of {len(call.times)}: t[[0, {seen[0]}]] "
                "would do, and a backward solve takes a start for each",
            )


def _of_the_exception(call: Call, row: Row, raised: str, which: str) -> None:
    if "max_num_steps" in raised or "max_steps" in raised:
        granted = call.posed.options.get("max_num_steps")
        row.say(
            "uses up its steps",
            f"{which} used up its steps ({granted}): {raised}; the field is stiff or has "
            "grown, or the tolerance is tighter than its precision can do",
            wrong=True,
        )
    elif "underflow" in raised or "non-finite" in raised:
        row.say(
            "step size vanishes",
            f"steps of {which} became too short ({raised}): the solution blows up, the "
            "field jumps or is stiff, or the tolerance is below the precision of its numbers",
        )
    else:
        row.say("raised", f"{which} raised {raised}")


def of_the_repeat(call: Call, row: Row, repeat: Repeat) -> None:
    """What the solve posed again says: changed in between, dear backwards, steps nearly used up."""
    if repeat.raised:
        _of_the_exception(call, row, repeat.raised, "the backward solve")
    granted = call.posed.options.get("max_num_steps")
    made = (repeat.steps or 0) + (repeat.rejected or 0)
    if granted is not None and made >= NEARLY_ALL * float(granted):
        row.say(
            "uses up its steps",
            f"{made} of {granted} steps were used: the next batch may raise; look for a stiff field, or grant more",
            wrong=False,
        )
    if endless := _not_finite(call, repeat):
        row.say(
            "gradient not finite",
            f"the solution and the gradient of the loss in it are finite, and what the backward pass gives in "
            f"{named(endless)} is not: the square root, norm, logarithm or quotient of something that is 0, perhaps "
            "in the branch that torch.where does not take; (x**2 + 1e-12).sqrt(), or a clamp before it",
        )
    if repeat.ignored:
        row.say(
            "options ignored",
            f"{repeat.ignored}: {row.method} has no such option, and goes on without; rtol and atol choose the steps "
            "of an adaptive method, step_size those of a fixed one" + " (this one is adaptive)" * row.adaptive,
        )
    if repeat.backward > DEAR * max(repeat.forward, 1):
        each = (
            f": one backward solve for each of {len(call.times) - 1} stretches between times"
            if len(call.times) > 2
            else ""
        )
        row.say(
            "backward is dear",
            f"backward takes {repeat.backward} evaluations of the field, forward "
            f"{repeat.forward}{each}; adjoint_options=dict(norm='seminorm'), or odeint without the adjoint",
        )
    if call.backward_began and np.isnan(call.backward_seconds):
        row.say(*_of_a_backward_pass_that_raised(call))
    elif changed_in_between(call, repeat) > 0:
        names = ", ".join(call.moved[:4]) or "something that is no attribute"
        row.say(
            "changed before backward",
            f"the field was changed between this solve and its backward pass ({names}): the "
            "backward solve ran with another field, and the errors of its gradients are of that; keep what a solve "
            "needs in an object of its own, or in the state",
        )


def _not_finite(call: Call, repeat: Repeat) -> list[str]:
    """The results of the backward pass that are no numbers although what it began with are numbers."""
    if not all(bool(x.isfinite().all()) for x in (*repeat.solution, *(call.cotangent or ()))):
        return []
    given = {"y0": repeat.y0, **repeat.theta}
    return [name for name, g in given.items() if g is not None and not bool(g.isfinite().all())]


def _of_a_backward_pass_that_raised(call: Call) -> tuple[str, str]:
    if not call.moved:
        return "raised", "its backward pass raised: what is judged is the solve, and gradients of the same one again"
    names = ", ".join(call.moved[:4])
    return (
        "changed before backward",
        f"the field was changed between this solve and its backward pass ({names}), which raised: an optimizer's step, "
        "or a write into a parameter, belongs behind backward()",
    )


def changed_in_between(call: Call, repeat: Repeat) -> float:
    """How far the step's own backward solve is from the same one with the field as it was; 0 where it is the same."""
    if call.real_y0 is None or repeat.y0 is None or call.held is None:
        return 0.0
    pairs = [(call.real_y0.double(), repeat.y0)]
    pairs += [
        (real(call.real[key]), g)
        for key, kept in call.held.tensors.items()
        if key in call.real and (g := repeat.theta.get(kept.name)) is not None
    ]
    rounding = 1e-3 if call.start[0].dtype != torch.float64 else 1e-8
    top = max(float(g.abs().max()) for _, g in pairs)
    far = max(
        float((a - g).abs().max()) / max(float(g.abs().max()), NOTHING * top, 1e-300) for a, g in pairs if g.numel()
    )
    return far if far > rounding and call.moved else 0.0


def of_the_values(row: Row, found: list[Lie], known: Collection[str] = ()) -> None:
    """Derivatives that autograd gets wrong. known: names of which that is said already."""
    for lie in found:
        if lie.name in known:
            continue
        said = (
            f"differences of the field's values in {lie.name} give {lie.measured:.5g}, its autograd says {lie.said:.5g}"
        )
        if lie.own_backward and abs(lie.said + lie.measured) < 0.01 * abs(lie.measured):
            row.say("wrong backward", f"{said}: the sign of a backward of its own is turned ({lie.own_backward})")
        elif lie.own_backward:
            row.say("wrong backward", f"{said}: a backward of its own is wrong ({lie.own_backward})")
        else:
            row.say("cut off", f"{said}: a .detach(), .data, .item() or no_grad() inside cuts the gradient off")


def of_the_pace(call: Call, row: Row, promised: Promise, steps: float) -> None:
    """A stiff solve: its steps are as long as stability allows, and not as long as the tolerance does."""
    length = abs(float(call.window[-1] - call.window[0])) * promised.rate / max(steps, 1)
    explicit = length <= STABLE_LENGTH and "implicit" not in row.method and row.method != "scipy_solver"
    if row.adaptive and explicit and promised.decaying and steps >= STIFF_STEPS and length >= STIFF_LENGTH:
        row.say(
            "stiff",
            f"the problem is stiff: {steps:.0f} steps for {length * steps:.0f} time constants, each as long as "
            "stability allows, whatever the tolerance; large weights or a term that decays fast is the cause, and "
            "smaller weights (a penalty on them) or an implicit method the cure: with torchdiffeq odeint_adjoint(..., "
            'method="scipy_solver", options={"solver": "Radau"})',
        )


def of_the_errors(call: Call, row: Row, exact: dict[str, Array]) -> None:
    """Errors that people do not expect: of steps that are too coarse, of a gradient smaller than its tolerance."""
    gradient, worst = row.quantities.get("dL/dy0"), max(row.quantities.values(), key=lambda q: q.error)
    rounded = any(f.kind == "half precision" for f in row.said)
    if not row.adaptive and worst.error > COARSE and not rounded:
        row.say(
            "coarse steps",
            f"the {row.method} steps are coarse: {worst.name} is off by {worst.error:.1e}, and what is trained is the "
            "steps and not an ODE; halve step_size, or take a method of higher order",
        )
    if gradient is None or call.cotangent is None or not (row.adaptive and call.posed.adjoint):
        return
    atol = float(torch.as_tensor(call.posed.others.get("adjoint_atol") or row.atol).max())
    size = min(max(float(g.abs().max()) for g in call.cotangent), float(abs(exact["dL/dy0"]).max()))
    if gradient.error > COARSE and size < atol:
        row.say(
            "gradient below atol",
            f"dL/dy is no larger than {size:.1e} at one end, less than the backward solve's absolute tolerance "
            f"{atol:.0e}, and dL/dy0 is off by {gradient.error:.0%}: adjoint_atol={size * 1e-3:.0e}, or a sum as the "
            "loss and no mean",
        )


def of_the_shortest_steps(call: Call, row: Row, repeat: Repeat) -> None:
    """Steps as short as min_step allows, which are accepted whatever their error."""
    shortest = float(call.posed.options.get("min_step") or 0.0)
    made = sum(length <= shortest * (1 + 1e-6) for length in repeat.lengths)
    if made >= SHORTEST_STEPS:
        broken = any(q.verdict is Verdict.REFUTED for q in row.quantities.values())
        row.say(
            "steps at minimum",
            f"{made} of {len(repeat.lengths)} steps are as short as min_step={shortest:g} lets them be, and such steps "
            "are accepted whatever their error"
            + (": the tolerance is not kept; " if broken else "; ")
            + "a smaller min_step, or none, gives the tolerance its say",
            wrong=broken,
        )


def of_the_tolerance(call: Call, row: Row, off: float) -> None:
    """A tolerance that is kept and too loose for the loss. off: ‖gradients − truth‖ / ‖truth‖, of the solution without.

    The gradients are those of the loss, so this is how far the direction of the training step is off.
    """
    what = "the gradient of the loss" if call.cotangent is not None else "the solution"
    kept = all(q.verdict is Verdict.HOLDS for q in row.quantities.values())
    if row.adaptive and kept and off > LOOSE and not EXPLAIN & {f.kind for f in row.said}:
        row.say(
            "loose tolerance",
            f"{what} is off by {off:.0%}, and rtol={row.rtol:g}, atol={row.atol:g} promise no more: a smaller "
            f"tolerance, rtol={row.rtol * LOOSE / 5 / off:.0e} and atol={row.atol * LOOSE / 5 / off:.0e} for about 1 %",
        )
