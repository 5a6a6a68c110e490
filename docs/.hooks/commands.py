"""The page of every command, made by typer from the commands themselves."""

import re

from mkdocs.structure.files import File
from typer import Context
from typer.cli import get_docs_for_click
from typer.main import get_command

from odecheck.commands.cli import app

PAGE = "reference/commands.md"
# lines of a help text that are typed
TYPED = re.compile(r"(?:^odecheck\b[^\n]*\n)+", re.MULTILINE)


def commands() -> str:
    """Every command with its help, arguments and options, as Markdown."""
    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=Context(command), name="odecheck", title="Commands")
    return TYPED.sub(lambda found: f"\n```console\n{found[0]}```\n", text.replace("\b", ""))


def on_files(files, config):
    files.append(File.generated(config, PAGE, content=commands()))
    return files
