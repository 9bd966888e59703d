"""report.json: what an auditor's program reads."""

import json
from pathlib import Path

from fleet.report.record import Run, run_as_dict, write_whole


def write(run: Run, directory: Path) -> Path:
    """Write report.json into `directory` and return its path.

    What is not UTF-8 in a node's answer was replaced when it was read; what is left is written as ASCII escapes, so
    that nothing in it can move a terminal that shows the file. Raises OSError.
    """
    path = directory / "report.json"
    write_whole(path, (json.dumps(run_as_dict(run), indent=2) + "\n").encode())
    return path
