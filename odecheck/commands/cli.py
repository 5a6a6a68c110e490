"""The command line. Each command is one file of `commands`; heavy imports wait until a command needs them."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from .bench import bench
from .claims import claims
from .common import INTERRUPTED, say
from .conformance import conformance
from .cost import cost
from .doctor import doctor
from .explain import explain
from .regressions import regressions
from .report import report
from .reproduce import reproduce
from .selftest import selftest
from .show import show
from .tasks import tasks
from .train import train
from .verify import verify
from .watch import watch

# what typer raises for a command line that it does not take
REFUSED: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")
# seconds after a Ctrl-C in which another one is the same
PATIENCE = 5.0
# panel of the help → its commands
PANELS = {
    "Verify": (verify, watch, show, explain, claims, report),
    "Conformance": (conformance, reproduce),
    "Cost": (cost, bench, regressions),
    "Train": (tasks, train),
    "Develop": (selftest, doctor),
}
COMMANDS = tuple(command for several in PANELS.values() for command in several)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The entry point. Exit status 0: all as expected; 1: something is refuted; 2: bad input, or no place to write."""
    restore = _interrupted_once()
    try:
        status = app(standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except REFUSED as error:  # what typer refuses, whose words hold what was typed
        context: Any = error.ctx
        usage = f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n" if context else ""
        say(f"{usage}Error: {error.format_message()}", err=True)
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.filename is None and error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
            raise
        say(_in_words(error), err=True)
        sys.exit(2)
    finally:
        restore()


def _interrupted_once() -> Callable[[], None]:
    """The first Ctrl-C ends the work; those that follow at once find it ending, and say nothing more.

    Returns:
        What is to be called when the work has ended.
    """
    first: list[float] = []

    def stop(_signal: int, _frame: object) -> None:
        if first and time.monotonic() - first[0] > PATIENCE:
            os._exit(INTERRUPTED)
        if not first:
            first.append(time.monotonic())
            raise KeyboardInterrupt

    def swallowed(what: sys.UnraisableHookArgs) -> None:
        """It came while a library's callback of the garbage collector ran, which no exception leaves: once more."""
        if what.exc_type is not KeyboardInterrupt or not first:
            others(what)
            return
        first.clear()
        threading.Timer(0.05, signal.raise_signal, (signal.SIGINT,)).start()

    def ended() -> None:
        # a process that ends would be killed by another one, after its work is done
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.unraisablehook = others

    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    others, sys.unraisablehook = sys.unraisablehook, swallowed
    signal.signal(signal.SIGINT, stop)
    return ended


def _in_words(error: OSError) -> str:
    what = f"{error.filename}: {error.strerror or error}" if error.filename else error.strerror
    return (
        f"odecheck: cannot read or write {what}\n"
        "  usual cause: a file where a folder belongs or the reverse, a place that is not yours, or a full disk\n"
        "  what to type: the same command with another --run, --write or file; what a run folder holds is kept, and "
        "--resume goes on with it"
    )


def _version(asked: bool) -> None:
    if asked:
        from odecheck import __version__

        say(f"odecheck {__version__}")
        raise typer.Exit


@app.callback()
def odecheck(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Is what this neural ODE computes what the mathematics says, and what does it cost?

    \b
    odecheck verify                         the shipped subjects
    odecheck verify my_model.py:subjects    yours
    odecheck watch train.py                 the solves of a training script
    odecheck claims                         what is claimed, with sources
    odecheck explain NODE-2                 a claim: formula, source, what it refutes
    odecheck show NODE-2                    the whole story of a verdict
    odecheck report                         a page that people read
    """


for _panel, _commands in PANELS.items():
    for _command in _commands:
        app.command(rich_help_panel=_panel, context_settings=getattr(_command, "context_settings", None))(_command)
