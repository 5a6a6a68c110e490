"""What options have in common: words to choose from, lists, what was given, and what would be ignored."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from odecheck.errors import BadInput
from odecheck.foreign import literal

from .common import refuse

# where typer has a value from that somebody gave
GIVEN = ("COMMANDLINE", "ENVIRONMENT")


def choice(*names: str, of: Iterable[str], what: str, help: str, also: str = "") -> Any:
    """An option of one of several words, or of a list of them: shown, completed, and refused before anything is loaded.

    Args:
        *names: of the option, as it is typed.
        of: the words, as those of an enumeration.
        what: a word of them is called so.
        help: what it is for.
        also: a beginning of words that are right as well.

    Returns:
        The option, to stand in an annotation of a text or of a list of texts.
    """
    words = tuple(map(str, of))

    def check(context: typer.Context, given: Any) -> Any:
        if context.resilient_parsing or given is None:
            return given
        several = [given] if isinstance(given, str) else split(given)
        for word in several:
            if word not in words and not (also and word.startswith(also)):
                refuse(unknown(what, word, words, names[0]))
        return given

    def completed(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    shown = "|".join([*words, *([f"{also}N"] if also else [])])
    return typer.Option(*names, metavar=shown, callback=check, autocompletion=completed, help=help)


def claim_ids(incomplete: str) -> list[str]:
    """Ids that begin with what is typed, from the table of what each claim costs: claims themselves need torch.

    Args:
        incomplete: as it stands on the command line; after a comma another one begins.
    """
    import json
    from importlib import resources

    begun, _, last = incomplete.rpartition(",")
    known = json.loads((resources.files("odecheck") / "runner" / "costs.json").read_text(encoding="utf-8"))["claims"]
    return [f"{begun}{',' if begun else ''}{id}" for id in known if id.startswith(last.upper())]


Claims = Annotated[
    list[str] | None,
    typer.Option(
        "--claim",
        "--claims",
        metavar="CLAIMS",
        autocompletion=claim_ids,
        help="Only these: an id, 'NODE-*', a family (HB), a topic (derivatives), a title, all; commas, or repeated.",
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Work out every answer of the reference anew, and keep none.")
]
Badge = Annotated[
    Path | None,
    typer.Option("--badge", metavar="FILE", help="Write how many claims hold, as JSON that shields.io draws."),
]
Device = Annotated[
    str, choice("--device", of=("cpu", "cuda"), also="cuda:", what="device", help="Where it is computed.")
]


def unknown(what: str, word: str, words: Iterable[str], option: str) -> BadInput:
    """The refusal of a word that is none of those that there are; the nearest come first.

    Args:
        what: it is called so.
        word: what was typed.
        words: those that there are.
        option: where it was typed, or nothing for an argument.
    """
    known = list(words)
    near = get_close_matches(word, known, n=3, cutoff=0.6)
    told = [f"{option} {one}".strip() for one in [*near, *(one for one in known if one not in near)]]
    return BadInput(f"there is no {what} {literal(word)}", "a misspelt name", " or ".join(told))


def split(given: Iterable[str] | None) -> list[str]:
    """A list as it is typed anywhere: repeated, or with commas between.

    Args:
        given: what an option collected.

    Returns:
        The words, without space around them.
    """
    return [word for text in given or () for part in text.split(",") if (word := part.strip())]


def given(context: typer.Context, *names: str) -> list[str]:
    """Which of these parameters somebody gave a value.

    Args:
        context: of the command.
        *names: of its function's parameters.
    """

    def was(name: str) -> bool:
        source = context.get_parameter_source(name)
        return source is not None and source.name in GIVEN

    return [name for name in names if was(name)]


def none_ignored(context: typer.Context, names: Iterable[str], because: str, fix: str) -> None:
    """Refuse options that would be ignored.

    Args:
        context: of the command.
        names: of parameters that are of no use here.
        because: why, with the option that makes it so.
        fix: what to type.

    Raises:
        BadInput: one of them was given.
    """
    if found := given(context, *names):
        options = [_option(context, name) for name in found]
        raise BadInput(f"{', '.join(options)} would be ignored: {because}", "options of two uses at once", fix)


def _option(context: typer.Context, name: str) -> str:
    """The longest way to type it."""
    for parameter in context.command.params:
        if parameter.name == name:
            typed = [one for one in parameter.opts if one.startswith("-")]
            return max(typed, key=len, default=str(parameter.metavar or name))
    return name
