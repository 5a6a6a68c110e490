"""odecheck doctor: what is installed, on what it would run, where data are, and what each extra would add."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from odecheck.foreign import one_line, said

from .common import RUNS, cores, number, say
from .look import console, following, verdict

if TYPE_CHECKING:
    from odecheck.records.summary import Headline

# names of files that are told of a folder
MOST_NAMES = 12
# extra of the package → what it adds; a test holds these against pyproject.toml
ADDS = {
    "tables": "rows as parquet and frames: odecheck cost and train, Records.to_frame()",
    "report": "odecheck report: the page that opens offline",
    "figures": "figures as SVG and PNG: --figures of report, --write of cost and selftest",
    "peers": "odecheck conformance and cost of torchode and diffrax; curvlinops beside SNOpt",
    "torchdyn": "odecheck conformance and cost of torchdyn, which brings a lot along",
    "tasks": "data that tasks of odecheck train bring along",
    "bench": "odecheck bench and regressions, by asv",
    "dask": "odecheck.check(executor=...) on a cluster",
    "properties": "the profiles of the pytest plug-in: --odecheck-profile",
    "docs": "this documentation, built here",
    "test": "odecheck's own tests",
    "dev": "what a change of odecheck is checked with",
}


@dataclass(frozen=True)
class Package:
    """A package that odecheck asks for.

    Attributes:
        name: of the package.
        asked: the versions that are taken.
        extra: which asks for it; empty for what is always needed.
        found: the version that is here, or empty.
        fits: whether that is one of those that are taken.
    """

    name: str
    asked: str
    extra: str
    found: str
    fits: bool


def doctor() -> None:
    """Say what is installed, on what it would run, where data are, and what each extra would add.

    Exit status 0: what odecheck needs is here; 1: something of it is missing, of
    another version, or cannot be imported.

    \b
    odecheck doctor
    """
    packages = list(_packages())
    base = [one for one in packages if not one.extra]
    torch, trouble = _torch()
    missing = [
        f"{one.name} {one.found or 'is missing'} (asked for: {one.asked or 'any'})" for one in base if not one.fits
    ]
    found = _headline([*missing, *trouble])
    out = console()
    verdict(out, found)
    say(f"\npython        {platform.python_version()}, {one_line(platform.platform())}")
    say(f"odecheck      {_version('odecheck') or 'not installed as a package'}")
    for one in base:
        say(f"{one.name:<14}{one.found or 'missing'}{'' if one.fits else f', asked for: {one.asked}'}")
    say(f"processor     {number(cores(), 'core')} for this process")
    say(torch)
    for line in _folders():
        say(line)
    say("\nextras")
    absent = [line for extra in ADDS for line in _extra(extra, packages)]
    if absent:
        following(out, "\nNext, to add one", f'pip install "odecheck[{absent[0]}]"')
    else:
        following(out, "\nNext", "odecheck verify")
    verdict(out, found)
    raise typer.Exit(int(bool(missing or trouble)))


def _headline(trouble: list[str]) -> Headline:
    from odecheck.records.outcomes import Headline

    if trouble:
        return Headline("NOT READY", "; ".join(trouble), "bold red")
    return Headline("READY", "what odecheck needs is here", "bold green")


def _packages() -> Iterator[Package]:
    """Everything that the installed odecheck asks for, once for each extra."""
    try:
        asked = requires("odecheck") or []
    except PackageNotFoundError:
        asked = []
    for line in asked:
        named, _, marker = line.partition(";")
        parts = re.match(r"\s*([\w.-]+)(?:\[[^]]*\])?\s*(.*)", named)
        if parts and parts[1] != "odecheck":
            extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
            if marker and not extra and not _is_meant(marker):
                continue
            there = _version(parts[1])
            fits = bool(there) and _fits(there, parts[2].strip())
            yield Package(parts[1], parts[2].strip(), extra[1] if extra else "", there, fits)


def _version(name: str) -> str:
    try:
        return one_line(version(name))
    except PackageNotFoundError:
        return ""


def _is_meant(marker: str) -> bool:
    """Whether a condition on the machine or on Python is met; where nobody can tell, it is not."""
    with suppress(ImportError, ValueError):
        from packaging.markers import Marker

        return Marker(marker.strip()).evaluate()
    return False


def _fits(there: str, asked: str) -> bool:
    """Whether a version is one of those asked for; where nobody can tell, it is."""
    with suppress(ImportError, ValueError):
        from packaging.specifiers import SpecifierSet

        return SpecifierSet(asked.strip("()")).contains(there, prereleases=True)
    return True


def _torch() -> tuple[str, list[str]]:
    """What torch can compute on, in a line, and what is wrong with it."""
    try:
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        names = ", ".join(one_line(torch.cuda.get_device_name(i)) for i in range(count))
    except Exception as error:  # a torch that is broken says so in many ways
        return f"device        torch cannot be imported: {one_line(said(error))}", ["torch cannot be imported"]
    gpu = f"{count} for --device cuda: {names}" if count else "none, or a torch without CUDA: --device cpu"
    return f"GPU           {gpu}", []


def _folders() -> Iterator[str]:
    """Where data, releases and runs are."""
    data = os.environ.get("ODECHECK_DATA", "")
    if not data:
        told = "not set: settings of tasks that read files need it (odecheck tasks)"
    else:
        told = f"{data}: {_names(Path(data))}"
    yield f"\nODECHECK_DATA   {one_line(told)}"
    try:
        from odecheck_reference.on_disk import default_folder as references

        from odecheck.engines.release import default_folder
    except (ImportError, OSError):  # with a torch that is broken
        return
    where = default_folder()
    yield f"ODECHECK_CACHE  {one_line(where)}: {_names(where) if where.exists() else 'no release is kept yet'}"
    kept = references()
    count = len(list(kept.glob("*.pickle"))) if kept else 0
    yield f"ODECHECK_REFERENCES  {one_line(kept or 'no home')}: {count} answers of the reference are kept"
    runs = len(list(RUNS.glob("*/run.json")))
    yield f"{RUNS}/           {runs} kept in {one_line(RUNS.absolute())}"


def _names(folder: Path) -> str:
    """What is in a folder, on one line."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        return one_line(error.strerror or error)
    return one_line(", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")) or "empty"


def _extra(extra: str, packages: list[Package]) -> list[str]:
    """Say what an extra would add; its name where something of it is missing."""
    mine = [one for one in packages if one.extra == extra]
    missing = [one.name for one in mine if not one.fits]
    state = "here" if mine and not missing else f"missing: {', '.join(missing)}" if mine else "not known"
    say(f"  {extra:<12}{ADDS[extra]} ({state})")
    return [extra] if missing else []
