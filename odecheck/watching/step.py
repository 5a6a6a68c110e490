"""A watched training step: the solves that it made, kept as they happened and judged when somebody asks."""

from __future__ import annotations

import sys
import time
import types
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import torch

from odecheck.compat import is_transforming
from odecheck.foreign import said

from .call import Call, inside_a_transform, kept, listen_backward, not_understood
from .held import Memo
from .interception import intercepted, known_globals
from .solver_calls import Adapter, arguments

if TYPE_CHECKING:
    from odecheck.record import Record

    from .row import Row

BUDGET = 120.0
# whose functions call solvers themselves, in a backward pass
SOLVER_PACKAGES = ("torchdiffeq", "odecheck", "torchdyn", "torchode")


class Step:
    """The solves of one training step. True if it was watched.

    Judging them happens once, when rows, a table or records are asked for first. Nothing of it touches the model, its
    gradients or the random numbers of the program.

    Args:
        watched: Whether anything was kept of the step.
        budget: Seconds of process time that judging may take.
    """

    def __init__(self, watched: bool, budget: float = BUDGET) -> None:
        self.watched, self.budget = watched, budget
        self.calls: list[Call] = []
        self._memo: Memo = {}
        self._rows: list[Row] | None = None
        self._busy = False

    def __bool__(self) -> bool:
        return self.watched

    @property
    def rows(self) -> list[Row]:
        """One row for each solve, in the order of the calls. Judges them, the first time."""
        if self._rows is None:
            from .judged import judged

            busy, self._busy = self._busy, True
            try:
                self._rows = judged(self.calls, budget=self.budget)
            finally:
                self._busy = busy
        return self._rows

    @property
    def findings(self) -> list[str]:
        """What is wrong, in words, each once."""
        return list(dict.fromkeys(f"{r.where}: {f.text}" for r in self.rows for f in r.findings))

    @property
    def notes(self) -> list[str]:
        """What is worth knowing and may be meant so, each once."""
        return list(dict.fromkeys(f"{r.where}: {f.text}" for r in self.rows for f in r.notes))

    def check(self) -> list[Record]:
        """Records, as those of `odecheck.check`.

        Returns:
            One for each solve and each question that was asked of it, WATCH-1 to WATCH-6.
        """
        from .records import records

        return [record for row in self.rows for record in records(row)]

    def scalars(self, prefix: str = "odecheck/") -> dict[str, float]:
        """Numbers for a training log.

        Args:
            prefix: With which the names begin.

        Returns:
            Name → the largest relative error of each result, evaluations forwards and backwards, findings, solves.
        """
        from .table import scalars

        return scalars(self.rows, prefix)

    def __str__(self) -> str:
        if not self.watched:
            return "this step was not watched"
        from .table import table

        return table(self.rows)

    def _reached(
        self,
        adapter: Adapter,
        original: types.FunctionType,
        function: types.FunctionType,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """A call of a solver: kept where it is the user's own, and passed on in any case."""
        if self._busy or _inside_a_backward_solve():
            return original(*args, **kwargs)
        call, how = self._kept(adapter, original, function, args, kwargs)
        self._busy, start = True, time.process_time()
        try:
            result = original(*args, **kwargs) if how is None else original(**how)
        except BaseException as error:
            if call is not None:
                call.raised = said(error)
            raise
        finally:
            self._busy = False
        if call is not None:
            call.seconds = time.process_time() - start
            try:
                listen_backward(call, result)
            except Exception as error:
                call.problem = call.problem or f"its result is not understood: {said(error)}"
        return result

    def _kept(self, adapter: Adapter, original: Any, function: Any, args: Any, kwargs: Any) -> tuple[Call | None, Any]:
        """What is kept of a call, and the arguments to go on with: None where they are to be passed on as they came."""
        try:
            if _inside_a_transform():
                self.calls.append(inside_a_transform(len(self.calls), adapter.library, function.__name__))
                return None, None
            given = arguments(original, args, kwargs)
        except Exception:  # a wrong call: what it raises is the user's
            return None, None
        try:
            posed, how = adapter.read(original, function, given)
        except Exception as error:
            call = not_understood(len(self.calls), adapter.library, function.__name__, error)
            self.calls.append(call)
            return call, given if "adjoint_params" in given else None  # a generator of them may be used up
        try:
            with torch.no_grad():
                call = kept(len(self.calls), posed, self._memo)
            call.grad_mode = torch.is_grad_enabled()
        except Exception as error:  # watching never raises in the user's step
            call = Call(len(self.calls), "", posed, [], posed.t, False, [], [], True)
            call.problem = f"it could not be kept: {said(error)}"
        self.calls.append(call)
        return call, how

    def _ended(self) -> None:
        """Which parameters of a field have got no gradient in this step, although others of it have."""
        for call in self.calls:
            if call.held is None:
                continue
            leaves = [k for k in call.held.tensors.values() if k.tensor.requires_grad and k.tensor.is_leaf]
            with torch.no_grad():
                empty = [k.name for k in leaves if k.tensor.grad is None or not bool(k.tensor.grad.any())]
            call.unreached = empty if len(empty) < len(leaves) else []


def _inside_a_transform() -> bool:
    """Whether one of torch.func's transforms is at work: its tensors do not outlive it."""
    return is_transforming()


def _inside_a_backward_solve() -> bool:
    """Whether a backward pass of a solver library is at work, which solves by itself."""
    own, frame = known_globals(), sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "backward":
            package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            if package in SOLVER_PACKAGES or id(frame.f_globals) in own:
                return True
        frame = frame.f_back
    return False


class watch:
    """Watch the ODE solves of a training step, by `with odecheck.watch() as step:` around it, then `print(step)`.

    The step runs as it would without: the same losses and gradients, bit for bit, the same random numbers. Watching
    never raises in it.

    Args:
        every: With a watch that is entered again and again, watch the first time and then every so often; in
            between nothing is intercepted, and entering it costs a comparison.
        budget: Seconds of process time that judging one step may take. Solves that are not reached are rows
            *not asked*.

    Raises:
        ValueError: `every` is below 1, or the budget is no number from 0 on.

    Example:
        >>> import odecheck, torch, torchdiffeq
        >>> field = torch.nn.Linear(2, 2, dtype=torch.float64)
        >>> y0, t = torch.ones(1, 2, dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
        >>> with odecheck.watch() as step:
        ...     torchdiffeq.odeint(lambda t, y: field(y), y0, t)[-1].sum().backward()
        >>> step.rows[0].verdict.value
        'holds'
    """

    def __init__(self, *, every: int = 1, budget: float = BUDGET) -> None:
        if every < 1:
            raise ValueError(f"every={every}: steps are counted from 1; every=500 watches one in 500")
        if not isinstance(cast(object, budget), int | float) or not budget >= 0:
            raise ValueError(f"budget={budget!r}: seconds of process time, from 0 on; budget=60 for a minute")
        self.every, self.budget = every, budget
        self._entered = 0
        self._stack = ExitStack()
        self._steps: list[Step] = []
        self.kept: list[Step] | None = None  # all that were begun, where somebody wants them

    def __enter__(self) -> Step:
        """Begin to watch, where it is time."""
        step = Step(self._entered % self.every == 0, self.budget)
        self._entered += 1
        self._steps.append(step)
        if self.kept is not None:
            self.kept.append(step)
        if step.watched:
            self._stack.enter_context(intercepted(step._reached))
        return step

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching; an exception of the step goes on."""
        step = self._steps.pop()
        if step.watched:
            self._stack.close()
            try:
                step._ended()
            except Exception:
                return
