"""A cluster from the command line: its scheduler, by address or file."""

from __future__ import annotations

import gc
from collections.abc import Generator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from odecheck.foreign import first_line, literal, said

PATIENCE = 20.0
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS|FILE",
        help="A dask cluster does the work: tcp://host:8786, or a scheduler file.",
    ),
]


@contextmanager
def _without_collection() -> Generator[None]:
    """No garbage is collected in a block, but before it.

    A client that nobody answered closes itself where it is collected, by a lock that a client holds which begins: the
    second of two waits for itself for ever where the first is collected within.
    """
    gc.collect()
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@contextmanager
def cluster(scheduler: str | None) -> Generator[Executor | None]:
    """The executor of a cluster, for as long as the block lasts. Its workers go on afterwards.

    Args:
        scheduler: address, or the path of a file that a scheduler has written; None for no cluster.

    Yields:
        The executor, or None.

    Raises:
        BadInput: the extra is not installed, nobody answers, or the cluster has no worker.
    """
    if scheduler is None:
        yield None
        return
    from odecheck.errors import BadInput, needed

    (distributed,) = needed("dask", "distributed")
    file = Path(scheduler)
    where: dict[str, Any] = {"scheduler_file": scheduler} if file.is_file() else {"address": scheduler}
    try:
        with _without_collection():
            client = distributed.Client(**where, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"no scheduler answers at {literal(scheduler)}: {first_line(said(error))}",
            "a scheduler that has ended, another address, or a file that it did not write",
            "dask scheduler --port 8786, on each machine dask worker tcp://HOST:8786, then --scheduler tcp://HOST:8786",
        ) from error
    try:
        if not client.scheduler_info()["workers"]:
            raise BadInput(
                f"the scheduler at {literal(scheduler)} has no worker",
                "workers that have not begun yet, or that were told another address",
                "dask worker tcp://HOST:8786 in the same environment, on each machine",
            )
        yield cast(Executor, client.get_executor())
    finally:
        client.close()
