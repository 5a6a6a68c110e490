"""Numbers that options are given: seeds, learning rates, looks."""

from __future__ import annotations

from odecheck.errors import BadInput
from odecheck.foreign import literal

MOST_SEEDS, MOST_SEED = 10_000, 2**31 - 1


def seeds(given: str) -> list[int]:
    """Seeds of --seeds: 5 for 0 to 4, 0,3,7 for these, 10-27 for a span.

    Args:
        given: what was typed.

    Raises:
        BadInput: no seed, or one that is none.
    """
    found = _span(given) or numbers("--seeds", given)
    several = "," in given or "-" in given.strip("-")
    most = MOST_SEED if several else MOST_SEEDS
    if not all(0 <= n <= most and n == int(n) for n in found) or found == [0.0]:
        raise BadInput(
            f"--seeds is {literal(given)}",
            f"no seed, or one that is no whole number, or above {most:,}",
            "--seeds 5, or --seeds 0,3,7, or --seeds 10-27",
        )
    return [int(n) for n in found] if several else list(range(int(found[0])))


def _span(given: str) -> list[float]:
    """The seeds of 10-27; nothing where it is none."""
    first, _, last = given.partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(last) - int(first) < MOST_SEEDS):
        return []
    return [float(n) for n in range(int(first), int(last) + 1)]


def whole(option: str, given: str) -> list[int]:
    """Whole numbers by commas.

    Args:
        option: by which they are given.
        given: what was typed.

    Raises:
        BadInput: others.
    """
    found = numbers(option, given)
    if not all(n.is_integer() for n in found):  # nor are nan and inf
        raise BadInput(f"{option} is {literal(given)}", "a number that is not whole", f"{option} 5,8,12,18")
    return [int(n) for n in found]


def rates(given: str | None) -> list[float]:
    """Learning rates by commas; none where nothing was typed.

    Args:
        given: what was typed.

    Raises:
        BadInput: one that is not above 0.
    """
    return [] if given is None else [positive("--rate", rate) for rate in numbers("--rate", given)]


def positive(option: str, number: float) -> float:
    """The number, if it is above 0.

    Args:
        option: by which it is given.
        number: what was typed.

    Raises:
        BadInput: it is not, or not finite.
    """
    if not 0 < number < float("inf"):
        raise BadInput(f"{option} has {number:g}", "a sign, or a zero", f"{option} with numbers above 0")
    return number


def numbers(option: str, given: str) -> list[float]:
    """Numbers by commas.

    Args:
        option: by which they are given.
        given: what was typed.

    Raises:
        BadInput: a word.
    """
    try:
        return [float(part) for part in given.split(",")]
    except ValueError:
        raise BadInput(
            f"{option} is {literal(given)}", "a word where numbers belong, or none", f"{option} 0,1,2"
        ) from None
