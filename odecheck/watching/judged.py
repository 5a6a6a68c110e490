"""Judges the solves of a step: what is cheap for all of them first, then truths while the budget lasts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from odecheck_reference import by_radau
from odecheck_reference.path import OutOfBudget, Path, path

from odecheck.foreign import first_line

from . import events, findings
from .call import Call
from .circumstances import circumstances
from .event_findings import of_its_function, of_no_event, of_the_event
from .field64 import Along, Array, Field64, NoField, in_double
from .precision import InDouble
from .promise import STAGES, Promise, growth_rate, kept, promise
from .random_state import untouched
from .repeat import Repeat, again, real
from .row import Quantity, Row, State
from .settle import FINEST, SHARP, Truth, settle
from .values import lies

# a tensor's own scale is not taken smaller than this part of the largest gradient: below lies rounding
SMALLEST = {torch.float64: 1e-9, torch.float32: 1e-4}
WHOLE = ("an integer", "y.double() as the state")
COMPLEX = (
    "a complex",
    "the same system in real numbers, odeint(lambda t, y: torch.view_as_real(field(t, torch.view_as_complex(y))), "
    "torch.view_as_real(y0), t) and torch.view_as_complex of what it gives,",
)


@dataclass
class _Work:
    """One solve on its way: posed again, with what was found so far."""

    call: Call
    row: Row
    repeat: Repeat | None = None
    alone: bool = True  # the first of its place and field: the ones that follow are not asked for their field again


def judged(calls: list[Call], *, budget: float) -> list[Row]:
    """A row for each call. Random numbers, the model and its gradients stay as they are.

    Args:
        calls: the solves of a step.
        budget: seconds of process time; what does not fit is *not asked*.
    """
    deadline = time.process_time() + budget
    works, met = [], set()
    with untouched(), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        for call in calls:
            work = _Work(call, _row(call))
            key = (call.where, id(call.posed.field))
            work.alone = key not in met
            met.add(key)
            works.append(work)
            _guarded(work, lambda work=work: _pose_again(work, deadline))
        waiting = [w for w in works if w.row.state is State.NOT_ASKED and w.repeat is not None]
        # those that have shown something already, then one of each place, then the rest
        waiting.sort(key=lambda w: (not w.row.findings, not w.alone))
        for work in waiting:
            left = deadline - time.process_time()
            if left <= 0:
                work.row.reason = f"the budget of {budget:g} s was used up by the solves before"
                continue
            _guarded(work, lambda work=work, left=left: _compare(work, left))
    return [work.row for work in works]


def _guarded(work: _Work, what: Callable[[], None]) -> None:
    """Whatever a user's field raises when it is asked again is said in its row."""
    try:
        what()
    except (OutOfBudget, NoField) as reason:
        work.row.state, work.row.reason = State.NOT_JUDGED, f"no truth within the budget: {reason}"
    except events.Undecided as reason:
        work.row.state, work.row.reason, work.row.quantities = State.NOT_JUDGED, f"not decided: {reason}", {}
        if isinstance(reason, events.NoEvent):
            of_no_event(work.row, reason)
    except Exception as error:
        line = first_line(error)
        work.row.state, work.row.reason = State.NOT_JUDGED, f"asked again it raised {type(error).__name__}: {line}"


def _row(call: Call) -> Row:
    p = call.posed
    leaves = [k.tensor for k in call.held.tensors.values()] if call.held else []
    row = Row(
        call.number,
        call.where,
        call.field_name,
        p.function,
        p.library,
        p.method,
        p.rtol,
        p.atol,
        p.adaptive,
        sum(y.numel() for y in call.start),
        sum(x.numel() for x in leaves if x.requires_grad),
        precision=_precision(call),
        seconds=(call.seconds, call.backward_seconds),
        call=call,
    )
    if call.problem:
        row.state, row.reason = State.NOT_JUDGED, call.problem
    return row


def _precision(call: Call) -> str:
    own = str(call.start[0].dtype).removeprefix("torch.") if call.start else ""
    return f"{str(call.autocast).removeprefix('torch.')} by autocast" if call.autocast else own


def _pose_again(work: _Work, deadline: float) -> None:
    call, row = work.call, work.row
    if row.state is not State.NOT_ASKED:
        return
    if any(not y.is_floating_point() for y in call.start):
        kind, cure = COMPLEX if any(y.is_complex() for y in call.start) else WHOLE
        row.state, row.reason = State.NOT_JUDGED, f"{kind} state: {cure} would be judged"
        return
    if "StopRecomputation" in call.raised:
        row.state, row.reason = State.NOT_JUDGED, "the second run of a checkpoint, which ends where it has seen enough"
        return
    findings.of_the_call(call, row)
    if call.raised:
        row.state, row.reason = State.NOT_JUDGED, "it raised"
        return
    if time.process_time() > deadline:
        row.reason = "the budget was used up"
        return
    if work.alone:
        found = circumstances(call)
        row.said += [f for f in found.said if f.kind not in {x.kind for x in row.said}]
        if not found.deterministic:
            row.state, row.reason = State.NOT_JUDGED, "the field is no function of time and state: there is no truth"
    work.repeat = repeat = again(call)
    row.nfe, row.steps, row.rejected = (repeat.forward, repeat.backward), repeat.steps, repeat.rejected
    row.saved_bytes = repeat.saved_bytes
    if np.isnan(row.seconds[1]):
        row.seconds = (row.seconds[0], repeat.backward_seconds)
    findings.of_the_repeat(call, row, repeat)


def _compare(work: _Work, seconds: float) -> None:
    call, row, repeat = work.call, work.row, work.repeat
    assert repeat is not None and call.solution is not None and call.held is not None
    start = time.process_time()
    with in_double(call) as f:
        f.event = events.begun(f, repeat) if call.posed.event else None
        if f.event is not None and not of_its_function(row, f):
            raise events.Undecided("the derivative of the event function is not that of its values")
        observed = _observed(work, f)
        truth = _settled(work, f, observed, seconds)
        f.deadline = start + max(seconds, 2 * (time.process_time() - start))
        exact = truth.parts()
        row.quantities = _quantities(f, truth, observed)
        row.reason = f"{truth.family} {truth.sharpness}" + (f"; {truth.short}" if truth.short else "")
        along = _along(f, truth)
        if row.adaptive:
            _on_promises(work, f, along, truth, observed)
        lost = of_the_event(row, f, truth, observed, repeat) if call.posed.event else set()
        if work.alone:
            if repeat.has_gradients:
                theta = {k: v for k, v in exact.items() if k in f.leaves and k not in lost}
                findings.of_the_parameters(call, row, repeat, theta, f, along)
            if call.cotangent is not None:
                findings.of_the_values(row, lies(f, along, in_time=call.times_ask))
    findings.of_the_rounding(call, row, float(np.abs(exact["solution"]).max(initial=0.0)))
    findings.of_the_shortest_steps(call, row, repeat)
    error = row.quantities["solution"].error
    if (call.start[0].dtype != torch.float64 or call.autocast) and error > 1e-4:
        with InDouble():
            wide = again(call, torch.float64, gradients=False)
        findings.of_the_precision(call, row, error, _relative(call.rows_of(wide.solution).numpy(), exact["solution"]))
    findings.of_the_errors(call, row, exact)
    findings.of_the_tolerance(call, row, _direction_off(observed, exact))
    row.state, row.truth, row.truth_seconds = State.JUDGED, truth, time.process_time() - start


def _settled(work: _Work, f: Field64, observed: dict[str, Array], seconds: float) -> Truth:
    """The truth; where there is none within the budget, a stiff problem is named as one. Raises OutOfBudget."""
    row, repeat = work.row, work.repeat
    assert repeat is not None
    try:
        return settle(f, lambda t: _aims(t, observed), rtol=row.rtol if row.adaptive else 1e-4, seconds=seconds)
    except OutOfBudget:
        rate, decaying = growth_rate(f, lambda _: f.start)
        findings.of_the_pace(work.call, row, Promise(1.0, rate, decaying, {}), _steps(row, repeat)[0])
        raise


def _on_promises(work: _Work, f: Field64, along: Along, truth: Truth, observed: dict[str, Array]) -> None:
    """Verdicts on what the tolerance promises; none where the flow's amplification is not to be had."""
    assert work.repeat is not None
    forward, backward = _steps(work.row, work.repeat)
    try:
        promised = promise(f, along, truth.answer, forward=forward, backward=backward or forward, mesh=truth.mesh)
    except OutOfBudget as reason:
        work.row.reason += f"; what the tolerance promises is not known: {reason}"
        findings.of_the_pace(work.call, work.row, Promise(1.0, *growth_rate(f, along), {}), forward)
        return
    if f.event is not None:
        off = forward * promised.unit * np.sqrt(f.states)
        if words := events.grazes(f, along, off, observed["solution"][-1]):
            raise events.Undecided(words)
    _keep_promises(work.row, truth, observed, promised.errors)
    findings.of_the_pace(work.call, work.row, promised, forward)


def _steps(row: Row, repeat: Repeat) -> tuple[float, float]:
    """Steps forwards and backwards, counted by the solver or from evaluations."""
    stages = STAGES.get(row.method, 1)
    forward = float(repeat.steps) if repeat.steps else repeat.forward / stages
    return max(1.0, forward), repeat.backward / stages


def _observed(work: _Work, f: Field64) -> dict[str, Array]:
    """What the step got, by the names of `settle.parts_of`: its own backward result where it is known."""
    call, repeat = work.call, work.repeat
    assert repeat is not None and call.solution is not None and call.held is not None
    out = {"solution": call.rows_of(call.solution).numpy()}
    if call.event_time is not None:
        out["event time"] = np.array([call.event_time - f.times[0]])
    if not repeat.has_gradients:
        return out
    assert repeat.y0 is not None
    y0 = repeat.y0 if call.real_y0 is None else call.real_y0.double()
    if any(call.starts_ask) or call.real_y0 is not None:
        out["dL/dy0"] = y0.numpy()
    if call.times_ask:
        t = repeat.t if call.real_t is None else call.real_t.double()
        given = np.zeros(len(call.times)) if t is None else t.double().numpy()
        out["dL/dt"] = given[:1] if call.posed.event else given
    for key, kept_ in call.held.tensors.items():
        if kept_.name in f.leaves:
            g = call.real.get(key, repeat.theta.get(kept_.name))
            out[kept_.name] = (real(torch.zeros_like(kept_.copy)) if g is None else real(g)).numpy()
    return out


def _scales(truth: Truth, dtype: torch.dtype) -> dict[str, float]:
    """The scale of each number's group: its own, and of gradients not below rounding of the largest one."""
    exact = truth.parts()
    own = {name: float(np.abs(x).max(initial=0.0)) for name, x in exact.items()}
    top = max([own[n] for n in truth.answer.theta] or [0.0])
    smallest = SMALLEST.get(dtype, 1e-4)
    return {n: max(s, smallest * top if n in truth.answer.theta else 0.0) or 1.0 for n, s in own.items()}


def _aims(truth: Truth, observed: dict[str, Array]) -> dict[str, float]:
    """The bar that is wanted for each name: a tenth of the error that it stands beside."""
    exact, scales = truth.parts(), _scales(truth, torch.float64)
    aims = {
        n: max(SHARP * float(np.abs(x - exact[n]).max(initial=0.0)), FINEST * scales[n])
        for n, x in observed.items()
        if n in exact
    }
    for name, like in (("dL/dt", "dL/dy0"), ("event time", "solution")):  # which may be right by chance
        if name in aims and like in aims:
            aims[name] = max(aims[name], aims[like] / scales[like] * scales[name])
    return aims


def _quantities(f: Field64, truth: Truth, observed: dict[str, Array]) -> dict[str, Quantity]:
    exact, scales = truth.parts(), _scales(truth, f.call.start[0].dtype)
    out: dict[str, Quantity] = {}
    for name in ("solution", "event time", "dL/dy0", "dL/dt"):
        if name in observed and name in exact:
            off = float(np.abs(observed[name] - exact[name]).max(initial=0.0))
            out[name] = Quantity(name, off / scales[name], truth.bars[name] / scales[name])
    each = [
        (float(np.abs(observed[n] - x).max(initial=0.0)) / scales[n], truth.bars[n] / scales[n], n)
        for n, x in truth.answer.theta.items()
        if n in observed
    ]
    if each:
        error, _, worst = max(each)
        out["dL/dtheta"] = Quantity("dL/dtheta", error, max(bar for _, bar, _ in each), worst)
    return out


def _keep_promises(row: Row, truth: Truth, observed: dict[str, Array], errors: dict[str, float]) -> None:
    exact = truth.parts()
    for name, quantity in row.quantities.items():
        names = [n for n in truth.answer.theta if n in observed] if name == "dL/dtheta" else [name]
        if name not in errors:
            continue
        off = np.concatenate([(observed[n] - exact[n]).ravel() for n in names])
        if name == "solution":  # at the worst of the times
            rms = float(np.sqrt((off.reshape(exact[name].shape) ** 2).mean(1)).max())
        else:
            rms = float(np.sqrt((off**2).mean()))
        quantity.used, quantity.judgement = kept(rms, max(truth.bars[n] for n in names), errors[name])


def _direction_off(observed: dict[str, Array], exact: dict[str, Array]) -> float:
    """‖gradients − truth‖ / ‖truth‖, all of them together; of the solution where there are none."""
    names = [n for n in observed if n in exact and n not in ("solution", "event time", "dL/dt")] or ["solution"]
    off = sum(float(((observed[n] - exact[n]) ** 2).sum()) for n in names)
    return float(np.sqrt(off / (sum(float((exact[n] ** 2).sum()) for n in names) or 1.0)))


def _relative(x: Array, exact: Array) -> float:
    return float(np.abs(x - exact).max() / (np.abs(exact).max() or 1.0))


def _along(f: Field64, truth: Truth) -> Along:
    """The solution as a function of time: the truth's, or one to look along where it has none."""
    if truth.mesh is not None:
        return by_radau.path_of(f, mesh=truth.mesh)
    return truth.answer.along or _coarse_path(f)


def _coarse_path(f: Field64) -> Path:
    """A solution to look along where the truth has none: loose DOP853 steps."""
    try:
        f.most = f.evaluations + 2000
        return path(f.f, f.start, f.times, rtol=1e-3, breaks=f.call.posed.breaks)
    finally:
        f.most = float("inf")
