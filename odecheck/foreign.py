"""Text of other people, made safe for where it goes. It is data: in a terminal, in a script, in a table, as a name.

Names and messages come from models, libraries and files that somebody else wrote. They may hold line breaks, control
sequences of a terminal, halves of characters that no file takes, and be as long as they like; and what is asked for
its own words may raise.
"""

from __future__ import annotations

import linecache
import os
import re
import traceback

# characters of one message: more than that nobody reads
LONGEST = 20_000
# PEP 263: such a comment in the first two lines of a file changes how Python reads all of it
_COOKIE = re.compile(r"(coding)([:=])", re.IGNORECASE)


def words(value: object, longest: int = LONGEST) -> str:
    """The text of anything, which every file takes and that has an end.

    Args:
        value: Its `str` is asked for; what raises there is named by its type.
        longest: Characters; what is cut off is told.

    Returns:
        Text without lone surrogates, of the type str itself.
    """
    try:
        text = str.__str__(str(value))
    except (Exception, SystemExit) as error:
        text = f"a {type(value).__name__} whose text raises {type(error).__name__}"
    if len(text) > longest:
        text = f"{text[:longest]} … ({len(text):,} characters in all)"
    return text.encode("utf-8", "replace").decode()


def literal(value: object, longest: int = 300) -> str:
    """The `repr` of anything, as `words` gives its `str`.

    Args:
        value: Anything.
        longest: Characters.

    Returns:
        One line.
    """
    try:
        text = repr(value)
    except (Exception, SystemExit) as error:
        text = f"<a {type(value).__name__} whose repr raises {type(error).__name__}>"
    return one_line(text, longest)


def said(error: BaseException) -> str:
    """What an exception says: its type and its words.

    Args:
        error: Of anybody.

    Returns:
        "ValueError: a message", or the type alone where there are no words.
    """
    text = words(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def raised_where(error: BaseException) -> str:
    """What an exception says and the line that raised it, with the condition above it: a limit shows itself there.

    Args:
        error: Of anybody.

    Returns:
        "LimitReached: a message, in field.py, line 40: if self.calls > 100".
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return said(error)
    last = frames[-1]
    line = last.lineno or 0
    above = linecache.getline(last.filename, line - 1).strip()
    shown = above if above.startswith(("if ", "elif ")) else (last.line or "")
    where = f"{os.path.basename(last.filename)}, line {line}"
    return one_line(f"{said(error)}, in {where}: {shown.rstrip(':')}" if shown else f"{said(error)}, in {where}")


def for_terminal(value: object) -> str:
    r"""Text whose control characters are spelt out: `\x1b` and not a sequence that moves, copies or names anything.

    Args:
        value: Anything.

    Returns:
        Printable characters, line breaks and tabs.
    """
    text = value if type(value) is str else words(value)
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _spelt(c) for c in text)


def _spelt(character: str) -> str:
    return character.encode("unicode_escape", "replace").decode()


def one_line(value: object, longest: int = 300) -> str:
    """Text on one line, as `for_terminal` gives it: for a cell, a title, a list.

    Args:
        value: Anything.
        longest: Characters; what is cut off is marked.

    Returns:
        Printable characters.
    """
    line = " ".join(for_terminal(words(value)).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def first_line(value: object, longest: int = 300) -> str:
    """The first line of a text that may have none.

    Args:
        value: Anything.
        longest: Characters.

    Returns:
        Printable characters, perhaps no one.
    """
    return one_line(next(iter(words(value).strip().splitlines()), ""), longest)


def markdown(value: object) -> str:
    """Text as a cell or a part of a line of Markdown: no markup, no tag, no link.

    Args:
        value: Anything.

    Returns:
        One line.
    """
    escaped = re.sub(r"([\\`*\[\]|]|(?<!\w)_|_(?!\w))", r"\\\1", one_line(value, LONGEST))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(value: object) -> str:
    """Text between two backticks of Markdown.

    Args:
        value: Anything.

    Returns:
        One line without backticks.
    """
    return one_line(value, LONGEST).replace("`", "'")


def comment(value: object) -> str:
    """Text that may stand behind a # of a script: it cannot end there, nor say how the file is to be read.

    Args:
        value: Anything.

    Returns:
        One line.
    """
    return _COOKIE.sub(r"\1 \2", one_line(value))
