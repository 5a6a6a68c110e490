"""Claims by what a person types: an id, a pattern, a family, a topic, a title, or all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import cast

from odecheck.claim import FAMILIES, Claim, loosely
from odecheck.claims import EVERY
from odecheck.errors import BadInput
from odecheck.foreign import literal


def by_id() -> Mapping[str, Claim]:
    """Every claim that there is, those about one's own tolerance as well.

    Returns:
        id → claim.
    """
    from .shared.own_tolerance import CLAIMS

    return {claim.id: claim for claim in (*EVERY, *CLAIMS)}


def found(words: Claim | str | Iterable[Claim | str], among: Iterable[Claim] = EVERY) -> tuple[Claim, ...]:
    """The claims that these stand for, each once, in the order in which they were asked for.

    Args:
        words: claims, or texts of one or more of these, separated by commas: an id ("NODE-2", and so NODE2 or
            node-2), a pattern as of file names ("NODE-*"), a family ("HB"), a topic of libraries ("derivatives", "use",
            "solution"), a title ("parameter gradient"), or "all".
        among: the claims that there are.

    Raises:
        BadInput: a text stands for none; it names what is near.
    """
    made: dict[str, Claim] = {}
    known = tuple(among)
    one = isinstance(words, Claim | str) or not isinstance(cast(object, words), Iterable)
    for item in cast(Iterable[Claim | str], (words,) if one else words):
        if not isinstance(cast(object, item), Claim | str):
            raise BadInput(
                f"{literal(item, 60)} is no claim",
                "something else in place of an id",
                "claims='NODE-2,HB' or claims=['NODE-*', 'SOL-2']: ids, patterns, families, topics",
            )
        for claim in (item,) if isinstance(item, Claim) else _of_text(item, known):
            made.setdefault(claim.id, claim)
    return tuple(made.values())


def _of_text(text: str, known: Sequence[Claim]) -> Iterator[Claim]:
    for word in (part.strip() for part in text.split(",")):
        several = _several(word, known)
        if not several:
            raise _unknown(word, known)
        yield from several


def _several(word: str, known: Sequence[Claim]) -> list[Claim]:
    by_loose_id: Mapping[str, Claim] = {loosely(claim.id): claim for claim in known}
    upper, loose = word.upper(), loosely(word)
    if loose in by_loose_id:
        return [by_loose_id[loose]]
    if word.lower() == "all":
        return list(known)
    of_topic = [claim for claim in known if word and claim.family.topic == word]  # "use", beside the family "USE"
    of_family = [claim for claim in known if loose and claim.family.id == loose]
    of_title = [claim for claim in known if word and claim.title.upper() == " ".join(upper.replace("_", " ").split())]
    patterns = (upper, loose) if "*" in word or "?" in word else ()
    fitting = [c for c in known if any(fnmatchcase(id, p) for p in patterns for id in (c.id, loosely(c.id)))]
    return of_topic or of_family or of_title or fitting


def _unknown(word: str, known: Sequence[Claim]) -> BadInput:
    topics = sorted({family.topic for family in FAMILIES.values() if family.topic})
    ids = [claim.id for claim in known]
    titles = {claim.title.upper(): claim.id for claim in known}
    near = get_close_matches(word.upper(), [*ids, *FAMILIES, *titles], n=3, cutoff=0.6)
    near = list(dict.fromkeys(titles.get(one, one) for one in near))
    families = sorted({claim.family.id for claim in known})
    return BadInput(
        f"there is no claim {word!r}",
        f"a misspelt id: did you mean {near[0]}?" if near else "a misspelt id",
        (f"{' or '.join(near)}; or " if near else "")
        + f"an id, a pattern such as 'NODE-*', a family ({', '.join(families)}), a topic ({', '.join(topics)}), "
        "a title, or all (odecheck claims lists them)",
    )
