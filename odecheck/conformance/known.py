"""Known failures against what is asked: which row is one, and which of them are of no claim or of no row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from odecheck.claims import EVERY
from odecheck.engines.library import Asked, Known, Library
from odecheck.errors import BadInput
from odecheck.foreign import literal
from odecheck.runner.case import Key

from .libraries import Version


def known_failure(library: Library, release: str, way: Asked, claim: str, problem: str) -> str:
    """Why this is known to fail, or nothing.

    An untested version is held to what the newest tested one fails, and to what is declared of it by its own name: of a
    checkout, "*+checkout*".
    """
    at = (release,) if release in library.tested else (library.tested[-1], release)
    return next((known.why for known in library.known if any(known.of(one, way, claim, problem) for one in at)), "")


def refuse_no_claims(library: Library) -> None:
    """Raises BadInput where a known failure is one of a claim that there is not: nobody would notice its end."""
    ids = {one.id for one in EVERY}
    for known in library.known:
        if strange := [id for id in known.claims if id not in ids]:
            raise BadInput(
                f"library {library.name!r} declares a known failure of {literal(strange[0], 60)}, which is no claim",
                "a misspelt id, or one of another version of odecheck",
                "odecheck claims, which lists them, and the id of one of them",
            )


def unused(found: Sequence[Version], origin: Mapping[Key, tuple[Version, Asked]]) -> list[tuple[Version, Known]]:
    """The known failures that are those of no row, where all versions are asked that they may be of.

    Args:
        found: libraries at their versions.
        origin: of each row that is asked, by claim, subject and problem, where it comes from.

    Returns:
        Each with the newest of the versions.
    """
    left: list[tuple[Version, Known]] = []
    for library in dict.fromkeys(one.library for one in found):
        mine = [one for one in found if one.library is library and not one.trouble]
        rows = [(key, of.release, way) for key, (of, way) in origin.items() if of.library is library]
        for known in library.known:
            meant = [release for release in library.tested if known.is_of(release)]
            if not meant or not set(meant) <= {one.release for one in mine}:
                continue
            if not any(known.of(release, way, claim, problem) for (claim, _, problem), release, way in rows):
                left.append((mine[0], known))
    return left
