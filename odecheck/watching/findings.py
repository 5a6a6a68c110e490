"""Mistakes that users make around a solve, each in plain words: what was seen, the usual cause, what to type."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from odecheck.judge import Verdict

from .call import Call
from .field64 import Along, Array, Field64
from .promise import Promise, rounding
from .repeat import Repeat, real
from .row import Row
from .values import Lie

# a gradient below this part of the largest one is nothing that can be missed
NOTHING = 1e-6
# a backward solve that takes so many times the evaluations of the forward one is worth a note
DEAR = 5.0
# a share of the steps granted after which a solve is about to use them up
NEARLY_ALL = 0.9
# an error that is worth a note, relative
COARSE = 1e-2
# a gradient that is off by this part, within its tolerance, is worth a note
LOOSE = 0.05
# a tolerance of this part of what rounding leaves is worth a note; torchdiffeq's own default is not
BELOW = 0.25
HALF = (torch.float16, torch.bfloat16)
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
    if changed_in_between(call, repeat) > 0:
        names = ", ".join(call.moved[:4]) or "something that is no attribute"
        row.say(
            "changed before backward",
            f"the field was changed between this solve and its backward pass ({names}): the "
            "backward solve ran with another field, and the errors of its gradients are of that; keep what a solve "
            "needs in an object of its own, or in the state",
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


def of_the_parameters(call: Call, row: Row, repeat: Repeat, exact: dict[str, Array], f: Field64, along: Along) -> None:
    """Gradients that are lost, and parameters that the solve does not reach."""
    assert call.held is not None
    top = max([float(abs(x).max()) for x in exact.values() if x.size] or [0.0])
    told = {id(x) for x in call.posed.told or ()}
    own = {id(p) for p in call.posed.field.parameters()} if isinstance(call.posed.field, nn.Module) else set()
    reached = _reached(f, along)
    for key, kept in call.held.tensors.items():
        if kept.name not in exact:
            continue
        size = float(abs(exact[kept.name]).max()) if exact[kept.name].size else 0.0
        got = repeat.theta.get(kept.name)
        lost = got is None or not bool(got.any())
        if call.posed.told is not None and key not in told and size > NOTHING * top and lost:
            row.say(
                "captured, gradient lost",
                f"the gradient of {kept.name} is lost (it is {size:.1e}): {_who(kept.tensor)}, and "
                f"{call.posed.function} differentiates in y0 and adjoint_params alone; give it in adjoint_params=, put "
                "it into the state, or use odeint",
            )
        elif kept.name not in reached and kept.name in call.unreached and (key in own or key in told):
            if _has_reached_siblings(kept.name, reached):  # an additive constant of an energy, and the like
                row.say("constant", f"the solve does not depend on the parameter {kept.name}")
                continue
            row.say(
                "parameter not reached",
                f"the solve does not depend on the parameter {kept.name}: it gets no gradient; "
                "it is overwritten, detached or never used in forward",
            )


def _has_reached_siblings(name: str, reached: set[str]) -> bool:
    """Whether the solve depends on another parameter of the same part of the field."""
    part = name.rpartition(".")[0]
    return bool(part) and any(other.rpartition(".")[0] == part for other in reached)


def _who(x: Tensor) -> str:
    if x.grad_fn is None:
        return "the field uses it, and it is no registered parameter of the field"
    return f"it was computed outside the field ({x.grad_fn.name().removesuffix('Backward0')}) and is captured by it"


def _reached(f: Field64, along: Along) -> set[str]:
    """The leaves that the field's graph leads to at one of three times."""
    names = list(f.leaves)
    found: set[str] = set()
    for share in (0.0, 0.4, 0.9):
        t = float(f.times[0] + share * (f.times[-1] - f.times[0]))
        y = along(t)
        found |= {n for n, g in zip(names, f.vjp(t, y, y * 0 + 1.0, leaves=True)[2], strict=True) if g is not None}
    return found


def of_the_values(row: Row, found: list[Lie]) -> None:
    """Derivatives that autograd gets wrong."""
    for lie in found:
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


def of_the_rounding(call: Call, row: Row, largest: float) -> None:
    """A tolerance below the rounding of the state's own numbers. largest: the largest number of the solution."""
    dtype = call.start[0].dtype
    asked = row.atol + row.rtol * largest
    left = rounding(dtype) * largest
    if row.adaptive and dtype == torch.float32 and asked < BELOW * left:
        row.say(
            "tolerance below rounding",
            f"rtol={row.rtol:g}, atol={row.atol:g} ask for errors of {asked:.1e} in a step, and float32 rounds numbers "
            f"of this size by {left:.1e}: such a tolerance costs steps and cannot be kept; rtol=1e-6, or y0.double() "
            "and a field in float64",
        )


def of_the_precision(call: Call, row: Row, error: float, in_double: float) -> None:
    """float32 where it hurts, or half of it: the same solve in float64 is much closer to the truth."""
    half = call.autocast or (call.start[0].dtype if call.start[0].dtype in HALF else None)
    if error <= max(1e-4, 5 * in_double):
        return
    if half:
        broken = row.quantities["solution"].verdict is Verdict.REFUTED
        name, where = str(half).removeprefix("torch."), "under autocast" if call.autocast else "with a state of its own"
        row.say(
            "half precision",
            f"the field runs in {name} {where}: the solution is off by {error:.1e}, the same solve in float64 by "
            f"{in_double:.1e}" + (", and the tolerance is not kept" if broken else "") + "; solve inside "
            'torch.autocast("cpu", enabled=False), or "cuda", with y0.float()',
            wrong=broken or error > COARSE,
        )
    else:
        row.say(
            "float32 hurts",
            f"in float32 the solution is off by {error:.1e}, the same solve in float64 by {in_double:.1e}: "
            "large numbers beside small ones, or times far from 0; shift and scale the state, or solve in float64",
        )
