"""The pytest plug-in: records as parameters of a test, expected failures, tiers, profiles, JSON and JUnit.

    @odecheck.parametrize([Subject(SHIPPED, Adaptive("dopri5"), Adjoint())])
    def test_my_solver(record):
        assert record.verdict is odecheck.HOLDS, record

Nothing of torch is imported until a test asks for a record.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NoReturn, cast

import pytest

from .runner.tiers import Tier

if TYPE_CHECKING:
    from odecheck_reference import Problem

    from .claim import Claim
    from .record import Record
    from .runner.case import Case
    from .subject import Subject

TIERS = tuple(map(str, Tier))
PROFILES = ("dev", "ci", "deep")
PREFIX = "odecheck."
# what no expression of -k may hold, names of settings before their values, and characters of one part of an id
UNNAMED, SETTING, MOST = re.compile(r"[^\w.+]+", re.ASCII), re.compile(r"\b\w+="), 60
# verdicts of which no test case of its own is written into JUnit XML
SILENT = ("not applicable", "unsupported")


# what was refused → the test that says so in full
REFUSALS = pytest.StashKey[dict[str, str]]()


def parametrize(
    subjects: Subject | Iterable[Subject | tuple[Subject, Problem]],
    problems: Problem | Iterable[Problem] | None = None,
    claims: Claim | str | Iterable[Claim | str] | None = None,
) -> pytest.MarkDecorator:
    """Run a test once for each claim on each subject and problem, with its `record`.

    A claim among a subject's expected failures, or false when read literally, is a strict xfail with its reason: the
    test has to fail. What does not apply or is not supported is skipped, with its reason. Bad input is an error of the
    test. What is inconclusive is no pass: it fails `assert record.verdict is odecheck.HOLDS` and `assert record.ok`,
    and a test that asserts neither ends with a warning that says what would decide it.

    Args:
        subjects: as for `odecheck.check`.
        problems: as for `odecheck.check`; None for the shipped ones of --odecheck-tier.
        claims: as for `odecheck.check`; None for those of the papers.

    Returns:
        A mark, with which the test function is decorated. The test takes the fixture `record`, an `odecheck.Record`.
    """
    return pytest.mark.odecheck(subjects=_kept(subjects), problems=_kept(problems), claims=_kept(claims))


def _kept(given: Any) -> Any:
    """An iterator as a list: a mark is read anew for each test function."""
    return list(cast("Iterable[Any]", given)) if isinstance(given, Iterable) and not isinstance(given, str) else given


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options --odecheck-tier, -profile, -json, -summary and -badge, and their lines of an ini file."""
    group = parser.getgroup("odecheck", "verification of ODE solvers and their derivatives")
    for name, choices, text in (
        ("tier", TIERS, "which shipped problems @odecheck.parametrize takes by default (quick)"),
        (
            "profile",
            PROFILES,
            "hypothesis profile: odecheck-dev, odecheck-ci (derandomised), odecheck-deep (10,000 examples)",
        ),
        ("json", None, "write the records of all tests to this file"),
        ("summary", None, "add a summary of the records in Markdown to this file, as $GITHUB_STEP_SUMMARY"),
        ("badge", None, "write how many claims hold to this file, as JSON that shields.io draws"),
    ):
        metavar = "FILE" if choices is None else None
        group.addoption(f"--odecheck-{name}", choices=choices, default=None, help=text, metavar=metavar)
        parser.addini(f"odecheck_{name}", f"the default of --odecheck-{name}", default="")


def _option(config: pytest.Config, name: str, choices: tuple[str, ...] = ()) -> str:
    """The command line's value, or that of the ini file, or nothing."""
    value = config.getoption(f"odecheck_{name}") or config.getini(f"odecheck_{name}")
    if value and choices and value not in choices:
        raise pytest.UsageError(f"odecheck_{name} = {value}: it is one of {', '.join(choices)}")
    return value


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and what gathers records, and load the hypothesis profile that was asked for."""
    config.addinivalue_line(
        "markers", "odecheck: one test for each claim on each subject and problem; see odecheck.parametrize"
    )
    _option(config, "tier", TIERS)
    profile = _option(config, "profile", PROFILES)
    if profile:
        load_profile(profile)
    config.pluginmanager.register(_Collector(config), "odecheck-records")


def load_profile(name: str) -> None:
    """Register the hypothesis profiles odecheck-dev, odecheck-ci and odecheck-deep, and load one of them."""
    try:
        from hypothesis import settings
    except ImportError:
        raise pytest.UsageError("profiles need hypothesis: pip install 'odecheck[properties]'") from None
    # a solve takes longer than hypothesis's deadline of 200 ms on a busy machine
    settings.register_profile("odecheck-dev", deadline=None, max_examples=20)
    settings.register_profile("odecheck-ci", deadline=None, max_examples=100, derandomize=True, print_blob=True)
    settings.register_profile("odecheck-deep", deadline=None, max_examples=10_000, print_blob=True)
    settings.load_profile(f"odecheck-{name}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each case of a test function that is marked."""
    mark = metafunc.definition.get_closest_marker("odecheck")
    if mark is None or "subjects" not in mark.kwargs:
        return
    from .claims import ALL
    from .runner.case import plan

    claims = ALL if mark.kwargs["claims"] is None else mark.kwargs["claims"]
    tier = _option(metafunc.config, "tier", TIERS) or "quick"
    units = plan(mark.kwargs["subjects"], mark.kwargs["problems"], claims, tier=tier)
    found = [case for unit in units for case in unit.cases]
    metafunc.parametrize("record", [pytest.param(c, id=_id(c), marks=_marks(c)) for c in found], indirect=True)


def _id(case: Case) -> str:
    """Short, and of characters that `-k` takes: NODE-2-pendulum-dopri5-1e-08-torchdiffeq-adjoint."""
    parts = (case.problem.name, case.subject.name)
    return "-".join([case.claim.id, *(UNNAMED.sub("-", SETTING.sub("", part)).strip("-")[:MOST] for part in parts)])


def _marks(case: Case) -> list[pytest.MarkDecorator]:
    from .judge import Verdict

    known = case.subject.expected_failures.get(case.claim.id)
    literally_false = case.claim.expected(case.problem) is Verdict.REFUTED
    if bool(known) == literally_false:  # neither, or a known failure to fail
        return []
    reason = known or f"{case.claim.id} is false when read literally"
    return [pytest.mark.xfail(strict=True, reason=reason, raises=(AssertionError, pytest.fail.Exception))]


class WrongResidual(Exception):
    """A subject is off by something else than a claim that is false as it reads predicts."""


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """The record of one claim on one subject and problem; parametrized by `odecheck.parametrize`."""
    case = getattr(request, "param", None)
    if case is None:
        raise pytest.UsageError("the fixture `record` needs @odecheck.parametrize(subjects, ...) on the test")
    from .errors import BadInput
    from .judge import Verdict
    from .runner.validation import validate

    refusal = ""
    try:
        validate(case.subject, case.problem)
    except BadInput as refused:
        refusal = str(refused)
    if refusal:  # said outside of the exception, which would be shown as well
        _say_once(request, case, refusal)
    made: Record = case.run()
    known = case.subject.expected_failures.get(case.claim.id)
    # properties reach JUnit and, under xdist, the process that reports; a section is shown when the test fails
    for name, value in asdict(made).items():
        request.node.user_properties.append((PREFIX + name, str(value) if isinstance(value, str) else value))
    request.node.add_report_section("call", "odecheck", str(made))
    if made.verdict in (Verdict.NOT_APPLICABLE, Verdict.UNSUPPORTED):
        pytest.skip(f"{made.verdict}: {made.message}")
    _warn_of_undecided([made])
    if made.verdict is Verdict.REFUTED and made.expected_verdict == Verdict.REFUTED and not made.ok and not known:
        raise WrongResidual(str(made))  # of another kind than what the mark xfail expects
    return made


def _say_once(request: pytest.FixtureRequest, case: Case, refusal: str) -> NoReturn:
    """End the test with a refusal in words, without a traceback of this package; in full for its first test alone."""
    from .foreign import for_terminal

    seen = request.config.stash.setdefault(REFUSALS, {})
    here = request.node.nodeid
    told = f"odecheck: {refusal}\n  subject: {case.subject.name}\n  problem: {case.problem.name}"
    if (first := seen.setdefault(refusal, here)) != here:
        told = f"odecheck: {case.subject.name} is refused, as {first} says"
    pytest.fail(for_terminal(told), pytrace=False)


def _warn_of_undecided(records: Iterable[Record]) -> None:
    """No status of pytest is for what is inconclusive: a warning, which -W error turns into a failure."""
    from .judge import Verdict

    for record in records:
        if record.verdict is Verdict.INCONCLUSIVE and not record.ok:
            said = (
                f"{record.claim} is inconclusive ({record.subject}; {record.problem}); to decide it: {record.decides}"
            )
            warnings.warn(said, stacklevel=2)


@pytest.fixture
def watch(request: pytest.FixtureRequest) -> Any:
    """Watch training steps in a test; see `odecheck.watch`.

    `with watch() as step:` stands around a step. When the test ends, each record of a watched step that is refuted
    fails it, and the step's table is shown. What is inconclusive is a warning of pytest.
    """
    from .foreign import for_terminal
    from .judge import Verdict
    from .watching.step import watch as begin

    begun: list[Any] = []

    def enter(**how: Any) -> Any:
        watching = begin(**how)
        watching.kept = begun
        return watching

    yield enter
    steps = [step for step in begun if step]
    for step in steps:
        request.node.add_report_section("call", "odecheck", for_terminal(step))
    found = [record for step in steps for record in step.check()]
    _warn_of_undecided(found)
    wrong = [record for record in found if record.verdict is Verdict.REFUTED]
    if wrong:
        pytest.fail("\n".join(map(str, wrong)), pytrace=False)


class _Collector:
    """Gathers the records of all tests, of all processes under xdist: they come with the reports of the tests."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.rows: list[dict[str, Any]] = []
        self.without: list[str] = []  # tests that have no record: their subject was refused, or crashed before

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "setup":
            row = {k.removeprefix(PREFIX): v for k, v in report.user_properties if k.startswith(PREFIX)}
            self.rows += [row] if row else []
            self.without += [report.nodeid] if report.failed and not row and "odecheck" in report.keywords else []

    def pytest_sessionfinish(self) -> None:
        json, summary, file = (_option(self.config, name) for name in ("json", "summary", "badge"))
        if not (json or summary or file) or hasattr(self.config, "workerinput"):
            return
        from .judge import Verdict
        from .record import Record
        from .records.badge import State, badge, of_records, write_badge
        from .records.export import write_json, write_summary

        rows = sorted(self.rows, key=lambda row: (row["subject"], row["problem"], row["claim"]))
        typed: list[dict[str, Any]] = [{**row, "verdict": Verdict(row["verdict"])} for row in rows]
        records = [Record(**row) for row in typed]
        if json:
            write_json(json, rows, {"tier": _option(self.config, "tier") or "quick"})
        if summary:
            write_summary(summary, records, {}, without=self.without)
        if file:
            refused: list[tuple[str, State]] = [("what was refused", "failed")] if self.without else []
            write_badge(file, badge([*of_records(records), *refused]))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_unconfigure(self) -> Generator[None]:
        """When pytest has written its JUnit XML."""
        yield
        file = self.config.getoption("xmlpath", None)
        if file and self.rows and not hasattr(self.config, "workerinput"):
            from .records.junit import fold

            fold(file, PREFIX, SILENT)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.rows:
            counts = Counter(row["verdict"] for row in self.rows)
            terminalreporter.write_sep("-", "odecheck: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items()))
