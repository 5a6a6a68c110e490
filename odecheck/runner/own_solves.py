"""A user's own solve of diffrax as a (subject, problem) pair."""

# pyright: standard
# (jax comes with partial types)
from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from odecheck_reference import Problem

from odecheck.engines.diffrax_call import Call, OwnStep, OwnTolerance, calls_read, controller_of, read
from odecheck.engines.diffrax_solve import OwnSolve, Program, states_of
from odecheck.errors import BadInput, Unsupported, needed
from odecheck.fields.from_jax import FromJax, is_parameter, jax_double
from odecheck.fields.jax_state import layout_of, on_vectors
from odecheck.foreign import first_line, literal, said
from odecheck.subject import Subject

from .own_fields import DEFAULT_TIMES, Pair, called, module_pairs

HOW = (
    "def solve(field, y0, ts, args, *, rtol, atol): return diffrax.diffeqsolve(diffrax.ODETerm(field), "
    "diffrax.Tsit5(), ts[0], ts[-1], None, y0, args, saveat=diffrax.SaveAt(ts=ts), "
    "stepsize_controller=diffrax.PIDController(rtol, atol))"
)
NAMES = ("field", "y0", "ts", "args", "rtol", "atol", "dt0")


def diffrax_pairs(
    solve: Callable[..., Any],
    field: Callable[..., Any],
    y0: Any,
    ts: Any = None,
    args: Any = None,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    dt0: float | None = None,
    name: str | None = None,
) -> list[Pair]:
    """How your own diffrax solve is verified, as it stands in your code: its states and its derivatives.

    What is asked about are dL/dy0, dL/dtheta, theta being the arrays of floating point numbers in `field` and `args`,
    dL/dts, and with DirectAdjoint second derivatives. jax computes in float64 from then on, in this whole process.

    Args:
        solve: Calls `diffrax.diffeqsolve`, once, and gives its `Solution`, or the `ys` of it: states at all of ts. It
            is given by name what it takes of field, y0, ts, args, and rtol and atol, or dt0 for steps of one length.
        field: The field that it solves, as field(t, y, args): a function, or a pytree with arrays of its own such as
            an `equinox.Module`.
        y0: The state of one solve, any pytree of arrays.
        ts: Times (times,), monotone; by default 0, 0.5 and 1.
        args: Given to `solve` and to the field; any pytree.
        rtol: With which `solve` is called first; then with tighter ones. By default 1e-7.
        atol: By default rtol / 100.
        dt0: The first step, of a solve with steps of one length. By default a twentieth of the first interval.
        name: Of the problem, by default with the name of the field.

    Returns:
        One (subject, problem) pair: what `odecheck verify FILE:NAME`, `odecheck.check` and `odecheck.parametrize` take.

    Raises:
        BadInput: A field or a solve that takes or gives something else, that leaves out tolerance, times, or the field
            that it is given, or that jax cannot trace; diffrax is not installed.

    Examples:
        >>> import diffrax, jax.numpy as jnp, odecheck
        >>> def solve(y0, ts, args, *, rtol, atol):
        ...     control = diffrax.PIDController(rtol, atol)
        ...     term, at = diffrax.ODETerm(decay), diffrax.SaveAt(ts=ts)
        ...     return diffrax.diffeqsolve(
        ...         term, diffrax.Tsit5(), ts[0], ts[-1], None, y0, args, saveat=at, stepsize_controller=control
        ...     )
        >>> def decay(t, y, k):
        ...     return -k * y
        >>> (subject, problem), = odecheck.diffrax_pairs(solve, decay, 1.0, args=jnp.array(0.5))
        >>> subject.name
        'decay, Tsit5(rtol=1e-07), own diffeqsolve, RecursiveCheckpointAdjoint'
    """
    needed("peers", "jax", "diffrax")
    for what, thing in (("solve", solve), ("the field", field)):
        if not callable(thing):
            raise BadInput(
                f"{what} is {literal(thing, 80)}, which cannot be called", "what it gives, in its place", HOW
            )
    layout = layout_of(y0)
    times = np.asarray(DEFAULT_TIMES if ts is None else ts, dtype=np.float64)
    own = on_vectors(layout, field, args)
    fixed = _is_fixed(solve, own, {"rtol": rtol, "atol": atol, "dt0": dt0})
    start = np.asarray(layout.vector(layout.example))[None]
    subject, problem = module_pairs(own, start, times, name=name or f"{called(own)} at the example state")[0]
    program = Program(solve, own, layout)
    call = _call(program, times, ("dt0",) if fixed else ("rtol", "atol"))
    step = abs(dt0) if dt0 else abs(float(times[1] - times[0])) / 20
    steps = OwnStep(call, step) if fixed else OwnTolerance(call, rtol or 1e-7, atol)
    own_solve = OwnSolve(program, call)
    _goes(own_solve, replace(subject, solver=steps, engine=own_solve), problem)
    return [(replace(subject, solver=steps, engine=own_solve), problem)]


def _is_fixed(solve: Callable[..., Any], own: FromJax, given: Mapping[str, float | None]) -> bool:
    """Whether a solve has steps of one length, by what it takes; refused where something is missing of it."""
    taken = inspect.signature(solve).parameters
    unknown = [n for n, p in taken.items() if n not in NAMES and p.default is p.empty and p.kind not in _ANY]
    if unknown or any(p.kind is p.POSITIONAL_ONLY for p in taken.values()):
        raise BadInput(
            f"solve takes {', '.join(unknown) or 'arguments by place alone'}, which it is not given",
            "other names: it is called by name, with those of " + ", ".join(NAMES) + " that it takes",
            HOW,
        )
    missing = [n for n in ("y0", "ts") if n not in taken]
    fixed = "dt0" in taken and "rtol" not in taken
    if not fixed:
        missing += [n for n in ("rtol", "atol") if n not in taken]
    if missing:
        raise BadInput(
            f"solve does not take {', '.join(missing)}",
            "a solve with a start, times or a tolerance of its own: it is called with others, tighter ones and later "
            "starts, to see what its answers do",
            HOW,
        )
    if ignored := [n for n in (("rtol", "atol") if fixed else ("dt0",)) if given[n] is not None]:
        raise BadInput(f"{', '.join(ignored)} would be ignored", "solve does not take it", HOW)
    for n, value in given.items():
        if value is not None and not (np.isfinite(value) and value != 0 and (value > 0 or n == "dt0")):
            raise BadInput(f"{n} is {value}", "a tolerance or a step that is none", f"{n}=1e-6, positive")
    if lost := _lost(own, taken):
        raise BadInput(
            f"solve does not take {lost[0]}, and there are parameters in it",
            "a model that solve reaches as a global or in a closure: no derivative goes there",
            HOW,
        )
    return fixed


_ANY = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def _lost(own: FromJax, taken: Mapping[str, Any]) -> list[str]:
    """Of field and args what has parameters and is not taken."""
    leaves = jax_double().tree_util.tree_leaves
    has = {n: any(map(is_parameter, leaves(part))) for n, part in zip(("field", "args"), own.whole(), strict=True)}
    return [n for n, there in has.items() if there and n not in taken]


def _call(program: Program, times: Any, told: tuple[str, ...]) -> Call:
    """What the solve's call of diffeqsolve is made of, seen while jax traces it. Refuses what cannot be verified."""
    jax = jax_double()
    seen: list[dict[str, Any]] = []
    leaves = [p.detach().numpy() for p in program.field.parameters()]
    y = program.layout.vector(program.layout.example)
    how = {name: jax.numpy.asarray(1e-3) for name in told}
    if "dt0" in how:
        how["dt0"] = jax.numpy.asarray((times[1] - times[0]) / 20)
    try:
        with calls_read(seen):
            found = jax.eval_shape(program.result, leaves, y, jax.numpy.asarray(times), how)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(
            f"solve raised {first_line(said(error))}",
            "a call of diffeqsolve that is wrong, numbers asked for by float() or an `if` where jax traces, or a state "
            "of another form",
            HOW,
        ) from error
    if len(seen) != 1:
        raise BadInput(
            f"solve called diffrax.diffeqsolve {len(seen)} times",
            "a function under jax.jit that had been traced before, a solver of another library, or several solves",
            f"one solve, without jax.jit around it: {HOW}",
        )
    program.layout.of_this_form("what solve gives", states_of(found), (len(times),), "saveat=diffrax.SaveAt(ts=ts)")
    _is_told(seen[0], told)
    _is_wide(seen[0])
    return read(seen[0], counts=_counts(program, leaves, y, times, how))


def _counts(program: Program, *given: Any) -> bool:
    """Whether the steps are told outside: jax lets nothing out of a jax.jit inside of solve."""
    leaves, y, times, how = given
    try:
        jax_double().eval_shape(program.states, leaves, y, jax_double().numpy.asarray(times), how)
    except Exception:
        return False
    return True


def _is_told(bound: Mapping[str, Any], told: tuple[str, ...]) -> None:
    """Whether the times and the tolerance come from what solve was given: constants of its own are no tracers."""
    control = controller_of(bound)
    adaptive = hasattr(control, "rtol")
    if adaptive != ("rtol" in told):
        raise BadInput(
            f"the controller is {type(control).__name__}, and solve takes {' and '.join(told)}",
            "rtol and atol are for a PIDController, dt0 is for ConstantStepSize",
            HOW if adaptive else "def solve(field, y0, ts, args, *, dt0): return diffrax.diffeqsolve(..., dt0, ...)",
        )
    values = {"t0": bound["t0"], "t1": bound["t1"], "saveat.ts": getattr(bound["saveat"].subs, "ts", None)}
    values |= {name: getattr(control, name) for name in told} if adaptive else {"dt0": bound["dt0"]}
    fixes = {"t0": "ts[0]", "t1": "ts[-1]", "saveat.ts": "diffrax.SaveAt(ts=ts)"}
    for name, value in values.items():
        if not isinstance(value, jax_double().core.Tracer):
            raise BadInput(
                f"{name} is {literal(value, 80)}, whatever solve is given",
                "a number of its own in solve: it is called with other times and tolerances",
                f"{name}: {fixes.get(name, name)}, as in {HOW}",
            )


def _is_wide(bound: Mapping[str, Any]) -> None:
    """Whether numbers are still of 64 bits where they come to diffeqsolve."""
    for what in ("y0", "args", "terms", "t0"):
        for leaf in jax_double().tree_util.tree_leaves(bound[what]):
            kind = getattr(leaf, "dtype", np.dtype(np.float64))
            if jax_double().dtypes.issubdtype(kind, np.inexact) and kind.itemsize < 8 + 8 * (kind.kind == "c"):
                raise BadInput(
                    f"{what} of diffeqsolve has {kind} in it",
                    "a cast on the way, or an array that solve reaches as a global: what it is given is float64",
                    "no .astype(jnp.float32) inside solve, and arrays in args or in the field",
                )


def _goes(engine: OwnSolve, subject: Subject, problem: Problem) -> None:
    """The first solve, whose words come before any claim."""
    try:
        subject.solution(problem)
    except Unsupported as reason:
        raise BadInput(
            f"solve does not arrive: {reason}",
            "a stiff field, times that are too long, or too few steps",
            "diffeqsolve(..., max_steps=100_000), a larger rtol, shorter ts, or diffrax.Kvaerno5() for a stiff field",
        ) from reason
    except Exception as error:
        raise BadInput(
            f"solve raised {first_line(said(error))}", "a field that fails where it is computed, and not traced", HOW
        ) from error
