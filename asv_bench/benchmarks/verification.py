"""The reference and the judge: how fast a verdict comes, how tight its bars are, and whether it is the expected one."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch

from . import common
from .common import Timed


def problem(name: str) -> Any:
    return next(p for p in common.needed("odecheck_reference", "catalogue").quick() if p.name == name)


class Reference(Timed):
    params = (["linear with time", "heavy ball"], ["solution", "gradient"])
    param_names = ("problem", "quantity")

    def setup(self, name: str, quantity: str) -> None:
        self.call = common.needed("odecheck_reference", quantity)
        self.problem = problem(name)

    def _asked(self, quantity: str) -> Any:
        found = self.call(self.problem.with_())  # a new problem: nothing of it was kept
        return found if quantity == "solution" else found.theta

    def track_error_bar(self, name: str, quantity: str) -> float:
        found = self._asked(quantity)
        return float(found.radius.max() / abs(found.value).max())

    def time_cpu(self, name: str, quantity: str) -> None:
        self._asked(quantity)

    track_error_bar.unit = "relative error"  # type: ignore[attr-defined]


class SecondDerivatives(Timed):
    """The reference's second derivatives, and how many places its integrations end at: of smooth fields at few."""

    params = (["tanh network", "heavy ball"],)
    param_names = ("problem",)
    timeout = 120

    def setup(self, name: str) -> None:
        self.call = common.needed("odecheck_reference.flow", "trajectories")
        self.problem = problem(name)

    def _asked(self) -> Any:
        return self.call(self.problem.with_(), 2)  # a new problem: nothing of it was kept

    def track_cuts(self, name: str) -> float:
        return float(self._asked()[0].mesh.count)

    def time_cpu(self, name: str) -> None:
        self._asked()

    track_cuts.unit = "count"  # type: ignore[attr-defined]


class QuickReference(Reference):
    params = (["heavy ball"], ["solution"])


class Judge(Timed):
    """Claims on the shipped subjects: cost of a verdict, and how many are not as expected."""

    params = (["NODE-1", "NODE-2", "NODE-3"], ["torchdiffeq adjoint"])
    param_names = ("claim", "engine")
    repeat = 1  # a verdict takes seconds
    timeout = 120

    def setup(self, claim: str, engine: str) -> None:
        torch.set_num_threads(1)
        subjects = common.needed("odecheck.runner.presets", "subjects", "odecheck.shipped")("quick")
        self.case = common.needed("odecheck.runner.case", "Case", "odecheck.case")
        claims = common.needed("odecheck.claims", "ALL")
        self.claim = next(c for c in claims if c.id == claim)
        self.subject = next(s for s in subjects if s.engine.name == engine)
        self.problem = problem("heavy ball")
        self.verdict = self._verdict()

    def _verdict(self) -> Any:
        return self.case(self.subject, self.problem.with_(), self.claim).run()

    def track_failures(self, claim: str, engine: str) -> float:
        return float(not self.verdict.ok)

    def track_nfe(self, claim: str, engine: str) -> float:
        return float(self.verdict.nfe)

    def time_cpu(self, claim: str, engine: str) -> None:
        self._verdict()

    track_failures.unit = track_nfe.unit = "count"  # type: ignore[attr-defined]


class Unit(Timed):
    """All claims on one subject and one problem: solves that are worked out, of those that the claims asked for."""

    params = (["torchdiffeq adjoint"],)
    param_names = ("engine",)
    repeat = 1
    timeout = 120

    def setup(self, engine: str) -> None:
        torch.set_num_threads(1)
        subjects = common.needed("odecheck.runner.presets", "subjects")("quick")
        self.unit = common.needed("odecheck.runner.case", "Unit")
        self.claims = common.needed("odecheck.claims", "ALL")
        self.subject = next(s for s in subjects if s.engine.name == engine)
        self.records = self._asked(self.subject, ("SOL-", "NODE-"))

    def _asked(self, subject: Any, families: tuple[str, ...]) -> list[Any]:
        claims = tuple(c for c in self.claims if c.id.startswith(families))
        return list(self.unit(subject, problem("linear with time").with_(), claims).run(validate=False))

    def track_solves(self, engine: str) -> float:
        solved = 0

        class Counted(type(self.subject.solver)):
            def solve(self, *args: Any) -> Any:
                nonlocal solved
                solved += 1
                return super().solve(*args)

        solver = Counted(**{one.name: getattr(self.subject.solver, one.name) for one in fields(self.subject.solver)})
        self._asked(replace(self.subject, solver=solver), ("SOL-", "NODE-"))
        return float(solved)

    def track_solves_asked_for(self, engine: str) -> float:
        return float(sum(record.solves for record in self.records))

    def time_cpu(self, engine: str) -> None:
        self._asked(self.subject, ("SOL-", "NODE-"))

    track_solves.unit = track_solves_asked_for.unit = "count"  # type: ignore[attr-defined]


class QuickJudge(Judge):
    params = (["NODE-2"], ["torchdiffeq adjoint"])
    track_nfe = time_cpu = None  # type: ignore[assignment]
