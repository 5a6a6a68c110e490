"""Claims by what a person types: an id, a pattern, a family, a topic, or all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase

from odecheck.claim import FAMILIES, Claim
from odecheck.claims import EVERY
from odecheck.errors import BadInput


def by_id() -> Mapping[str, Claim]:
    """Every claim that there is, those about one's own tolerance as well.

    Returns:
        id → claim.
    """
    from .shared.own_tolerance import CLAIMS

    return {claim.id: claim for claim in (*EVERY, *CLAIMS)}


def found(words: Claim | str | Iterable[Claim | str]) -> tuple[Claim, ...]:
    """The claims that these stand for, each once, in the order in which they were asked for.

    Args:
        words: claims, or texts of one or more of these, separated by commas: an id ("NODE-2", in any case), a pattern
            as of file names ("NODE-*"), a family ("HB"), a topic of libraries ("derivatives", "use", "solution"), or
            "all".

    Raises:
        BadInput: a text stands for none; it names what is near.
    """
    made: dict[str, Claim] = {}
    for item in (words,) if isinstance(words, Claim | str) else words:
        for claim in (item,) if isinstance(item, Claim) else _of_text(item):
            made.setdefault(claim.id, claim)
    return tuple(made.values())


def _of_text(text: str) -> Iterator[Claim]:
    for word in (part.strip() for part in text.split(",")):
        several = _several(word)
        if not several:
            raise _unknown(word)
        yield from several


def _several(word: str) -> list[Claim]:
    by_id: Mapping[str, Claim] = {claim.id: claim for claim in EVERY}
    upper = word.upper()
    if upper in by_id:
        return [by_id[upper]]
    if word.lower() == "all":
        return list(EVERY)
    of_topic = [claim for claim in EVERY if word and claim.family.topic == word]  # "use", beside the family "USE"
    of_family = [claim for claim in EVERY if claim.family.id == upper]
    return of_topic or of_family or [claim for claim in EVERY if fnmatchcase(claim.id, upper)]


def _unknown(word: str) -> BadInput:
    topics = sorted({family.topic for family in FAMILIES.values() if family.topic})
    ids = [claim.id for claim in EVERY]
    near = get_close_matches(word.upper(), [*ids, *FAMILIES], n=3, cutoff=0.6)
    families = sorted({claim.family.id for claim in EVERY})
    return BadInput(
        f"there is no claim {word!r}",
        "a misspelt id",
        (f"{' or '.join(near)}; or " if near else "")
        + f"an id, a pattern such as 'NODE-*', a family ({', '.join(families)}), a topic ({', '.join(topics)}), or all "
        "(odecheck claims lists them)",
    )
