"""asv's own command, which also keeps what it says of benchmarks that fail: its results have no place for that.

A script that needs asv alone: it runs with the path of the commit that is benchmarked. Each failure is a line of JSON
in the file that ODECHECK_ASV_MESSAGES names.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

# of a message
MOST_CHARACTERS = 4000


def keep_messages(results: Any, path: str) -> None:
    """Have asv's results write what failed to a file as well.

    Args:
        results: asv's class of results.
        path: of the file, to which lines are added.
    """
    add = results.add_result

    def add_and_keep(self: Any, benchmark: dict[str, Any], result: Any, *args: Any, **more: Any) -> Any:
        if result.errcode:
            with open(path, "a", encoding="utf-8") as file:
                text = (result.stderr or "")[-MOST_CHARACTERS:] or f"exit status {result.errcode}"
                file.write(json.dumps({"benchmark": benchmark["name"], "message": text}) + "\n")
        return add(self, benchmark, result, *args, **more)

    results.add_result = add_and_keep


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file, whose names are none of asv's business
    from asv.main import main  # pyright: ignore[reportMissingTypeStubs]
    from asv.results import Results  # pyright: ignore[reportMissingTypeStubs]

    keep_messages(Results, os.environ["ODECHECK_ASV_MESSAGES"])
    sys.argv[0] = "asv"
    main()
