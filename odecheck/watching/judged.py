"""Judges the solves of a step: what is cheap for all of them first, then truths while the budget lasts."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from odecheck_reference import by_radau
from odecheck_reference.path import OutOfBudget, Path, path

from odecheck.compat import compiling_nothing
from odecheck.foreign import first_line

from . import events, findings, precision_findings
from .call import Call
from .circumstances import circumstances
from .compared import aims, direction_off, keep_promises, observed, quantities, relative
from .event_findings import of_its_function, of_no_event, of_the_event
from .field64 import Along, Array, Field64, NoField, in_double
from .gradient_findings import of_a_broken_gradient, of_the_parameters
from .precision import InDouble, half_inside
from .promise import STAGES, Promise, growth_rate, promise
from .random_state import untouched
from .repeat import Repeat, again, array, posed_again
from .row import Row, State
from .settle import Truth, has_kinks, settle
from .values import lies

# of the time that is left, what the truth may take: the rest is for what is asked of it
TRUTH = 0.7
# of the tolerance: solves of about the same accuracy, whose steps are others
NEARBY = (0.5, 0.8, 1.25, 2.0)
WHOLE = ("an integer", "y.double() as the state")
COMPLEX = (
    "a complex",
    "the same system in real numbers, odeint(lambda t, y: torch.view_as_real(field(t, torch.complex(y[..., 0], "
    "y[..., 1]))), torch.view_as_real(y0), t) and torch.view_as_complex of what it gives,",
)


@dataclass
class _Work:
    """One solve on its way: posed again, with what was found so far."""

    call: Call
    row: Row
    repeat: Repeat | None = None
    iterated: list[str] = field(default_factory=list[str])  # weights whose autograd is known to be approximate
    alone: bool = True  # the first of its place and field: the ones that follow are not asked for their field again


@contextmanager
def _without_autocast(calls: list[Call]) -> Generator[None]:
    with ExitStack() as stack:
        for kind in {"cpu", *(call.device.type for call in calls)}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def judged(calls: list[Call], *, budget: float) -> list[Row]:
    """A row for each call. Random numbers, the model and its gradients stay as they are.

    Args:
        calls: the solves of a step.
        budget: seconds of process time; what does not fit is *not asked*.
    """
    deadline = time.process_time() + budget
    works, met = [], set()
    with untouched(), torch.enable_grad(), _without_autocast(calls), compiling_nothing():
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
            if time.process_time() >= deadline:
                work.row.reason = f"the budget of {budget:g} s was used up by the solves before"
                continue
            _guarded(work, lambda work=work: _compare(work, deadline))
    return [work.row for work in works]


def _guarded(work: _Work, what: Callable[[], None]) -> None:
    """Whatever a user's field raises when it is asked again is said in its row."""
    try:
        what()
    except OutOfBudget as reason:
        posed = work.repeat is not None
        work.row.state = State.NOT_JUDGED if posed else State.NOT_ASKED
        work.row.reason = f"no truth within the budget: {reason}" if posed else f"the budget was used up: {reason}"
    except NoField as reason:
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
    if len(call.times) < 2 and not call.posed.event and not call.raised:
        row.state, row.reason = State.NOT_JUDGED, "one time alone, where the solution is y0: t = [start, end] is solved"
        return
    findings.of_the_call(call, row)
    if call.raised:
        row.state, row.reason = State.NOT_JUDGED, "it raised"
        return
    if time.process_time() > deadline:
        row.reason = "the budget was used up"
        return
    if work.alone:
        found = circumstances(call, deadline=deadline)
        row.said += [f for f in found.said if f.kind not in {x.kind for x in row.said}]
        work.iterated = found.iterated
        if not found.deterministic:
            row.state, row.reason = State.NOT_JUDGED, "the field is no function of time and state: there is no truth"
    work.repeat = repeat = again(call, deadline=deadline)
    row.nfe, row.steps, row.rejected = (repeat.forward, repeat.backward), repeat.steps, repeat.rejected
    row.saved_bytes = repeat.saved_bytes
    if np.isnan(row.seconds[1]):
        row.seconds = (row.seconds[0], repeat.backward_seconds)
    findings.of_the_repeat(call, row, repeat)
    if any(f.kind == "gradient not finite" for f in row.said):
        row.state, row.reason = State.NOT_JUDGED, "its gradients are not finite: there is nothing to compare"


def _compare(work: _Work, deadline: float) -> None:
    """One solve beside its truth, in stages: what the deadline leaves no time for is said, and is not asked."""
    call, row, repeat = work.call, work.row, work.repeat
    assert repeat is not None and call.solution is not None and call.held is not None
    start = time.process_time()
    with in_double(call) as f:
        f.deadline = deadline
        f.event = events.begun(f, repeat) if call.posed.event else None
        if f.event is not None and not of_its_function(row, f):
            raise events.Undecided("the derivative of the event function is not that of its values")
        got = observed(call, repeat, f)
        truth = _settled(work, f, got, TRUTH * (deadline - start))
        exact = truth.parts()
        row.quantities = quantities(f, truth, got)
        row.reason = f"{truth.family} {truth.sharpness}" + (f"; {truth.short}" if truth.short else "")
        row.state, row.truth = State.JUDGED, truth
        _in_time(row, "what may be wrong around it", lambda: _around(work, f, truth, got))
    precision_findings.of_the_rounding(call, row, float(np.abs(exact["solution"]).max(initial=0.0)))
    findings.of_the_shortest_steps(call, row, repeat)
    error = row.quantities["solution"].error
    if (call.start[0].dtype != torch.float64 or call.autocast) and error > 1e-4:
        _in_time(row, "the same solve in float64", lambda: _wide(work, error, exact, deadline))
    findings.of_the_errors(call, row, exact)
    findings.of_the_tolerance(call, row, direction_off(got, exact))
    row.truth_seconds = time.process_time() - start


def _in_time(row: Row, what: str, ask: Callable[[], None]) -> None:
    """Ask something more of a solve that was judged; where there is no time for it, that is said."""
    try:
        ask()
    except OutOfBudget as reason:
        row.not_asked.append(what)
        row.reason += f"; {what} was not asked, the budget was used up: {reason}"


def _around(work: _Work, f: Field64, truth: Truth, got: dict[str, Array]) -> None:
    """What the tolerance promises, lost gradients, and derivatives that are not those of values. Raises OutOfBudget."""
    call, row, repeat = work.call, work.row, work.repeat
    assert repeat is not None
    along = _along(f, truth)
    if row.adaptive:
        _on_promises(work, f, along, truth, got)
    lost = of_the_event(row, f, truth, got, repeat) if call.posed.event else set()
    if row.adaptive and repeat.has_gradients:
        of_a_broken_gradient(call, row, kinks=has_kinks(f))
    if work.alone:
        if repeat.has_gradients:
            theta = {k: v for k, v in truth.parts().items() if k in f.leaves and k not in lost}
            of_the_parameters(call, row, repeat, theta, f, along)
        if call.cotangent is not None:
            findings.of_the_values(row, lies(f, along, in_time=call.rates_in_time_matter), work.iterated)


def _wide(work: _Work, error: float, exact: dict[str, Array], deadline: float) -> None:
    """Whether the same solve in float64 is much better. Raises OutOfBudget."""
    call = work.call

    def off(**how: float) -> float:
        with InDouble(call.start[0].dtype):
            wide = again(call, torch.float64, gradients=False, deadline=deadline, how=how)
        return relative(array(call.rows_of(wide.solution)), exact["solution"])

    in_double = off()
    single = call.posed.others.get("rtol")
    if precision_findings.is_much_better(in_double, error) and isinstance(single, float) and work.row.adaptive:
        # across jumps and kinks the error is a matter of where steps happen to end: other steps have other luck
        in_double = max(in_double, *(off(rtol=factor * single) for factor in NEARBY))
    with posed_again(call) as (f, _, _):
        half = half_inside(lambda: f(call.times[0], call.posed.packed([y.clone() for y in call.start])))
    precision_findings.of_the_precision(call, work.row, error, in_double, half)


def _settled(work: _Work, f: Field64, got: dict[str, Array], seconds: float) -> Truth:
    """The truth; where there is none within the budget, a stiff problem is named as one. Raises OutOfBudget."""
    row, repeat = work.row, work.repeat
    assert repeat is not None
    try:
        return settle(f, lambda t: aims(t, got), rtol=row.rtol if row.adaptive else 1e-4, seconds=seconds)
    except OutOfBudget:
        rate, decaying = growth_rate(f, lambda _: f.start)
        findings.of_the_pace(work.call, row, Promise(1.0, rate, decaying, {}), _steps(row, repeat)[0])
        raise


def _on_promises(work: _Work, f: Field64, along: Along, truth: Truth, got: dict[str, Array]) -> None:
    """Verdicts on what the tolerance promises; none where the flow's amplification is not to be had."""
    assert work.repeat is not None
    forward, backward = _steps(work.row, work.repeat)
    try:
        promised = promise(f, along, truth.answer, forward=forward, backward=backward or forward, mesh=truth.mesh)
    except OutOfBudget as reason:
        work.row.not_asked.append("what its tolerance promises")
        work.row.reason += f"; what the tolerance promises is not known: {reason}"
        findings.of_the_pace(work.call, work.row, Promise(1.0, *growth_rate(f, along), {}), forward)
        return
    if f.event is not None:
        off = forward * promised.unit * np.sqrt(f.states)
        if words := events.grazes(f, along, off, got["solution"][-1]):
            raise events.Undecided(words)
    keep_promises(work.row, truth, got, promised.errors)
    findings.of_the_pace(work.call, work.row, promised, forward)


def _steps(row: Row, repeat: Repeat) -> tuple[float, float]:
    """Steps forwards and backwards, counted by the solver or from evaluations."""
    stages = STAGES.get(row.method, 1)
    forward = float(repeat.steps) if repeat.steps else repeat.forward / stages
    return max(1.0, forward), repeat.backward / stages


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
