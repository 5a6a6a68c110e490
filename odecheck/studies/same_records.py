"""Whether two runs of `odecheck verify` say the same: records equal in every column but those of time.

    python -m odecheck.studies.same_records RUN OTHER

prints what differs, column by column, and leaves with 1 where anything does. A change that is to make a run quicker
should do nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from odecheck.record import Record
from odecheck.records.run_folder import read_records

Key = tuple[str, str, str]
# rows of a column that are printed
SHOWN = 6


def differences(run: Sequence[Record], other: Sequence[Record]) -> dict[str, list[tuple[Key, Any, Any]]]:
    """What two runs say of the same cases.

    Args:
        run: Its records.
        other: Those of the other run.

    Returns:
        Column → (key of the case, value, other value) of each row in which they differ; "case" → those that one of the
        two has not, with whether each has it. Empty where the runs say the same.
    """
    a, b = ({record.key: record.repeatable() for record in records} for records in (run, other))
    found: dict[str, list[tuple[Key, Any, Any]]] = {}
    for key in sorted(a.keys() ^ b.keys()):
        found.setdefault("case", []).append((key, key in a, key in b))
    for key in a.keys() & b.keys():
        for column, value in a[key].items():
            if repr(value) != repr(b[key][column]):  # a number that is none is equal to itself
                found.setdefault(column, []).append((key, value, b[key][column]))
    return found


def main(folders: Sequence[str]) -> int:
    """Compare two run folders.

    Args:
        folders: Two of them.

    Returns:
        The exit status: 0 where they say the same, 1 where not.
    """
    run, other = (read_records(Path(folder))[0] for folder in folders)
    found = differences(run, other)
    for column, rows in found.items():
        print(f"{column}: {len(rows)} rows, {', '.join(sorted({key[0] for key, _, _ in rows}))}")
        for key, value, second in rows[:SHOWN]:
            print(f"  {' / '.join(key)}: {value} and {second}")
    print(f"{len(run)} and {len(other)} records" + ("" if found else ", which say the same"))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:3]))
