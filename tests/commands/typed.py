"""A command as a user types it, and what it answers."""

from __future__ import annotations

from typer.testing import CliRunner

from odecheck.commands.cli import app


def run(*typed: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(typed))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def refused(said: str, *typed: str) -> str:
    status, output = run(*typed)
    assert status == 2, output
    assert said in output and "usual cause" in output and "what to type" in output
    return output
