"""The reports there are: what each is called and who writes it."""

from collections.abc import Callable
from pathlib import Path

from fleet.report import csv, html, json, junit
from fleet.report.record import Run, write_whole
from fleet.text import clean
from generator.errors import StypticError

#: Format to its file's name and its writer.
FORMATS: dict[str, tuple[str, Callable[[Run], bytes]]] = {
    "html": ("report.html", html.as_bytes), "json": ("report.json", json.as_bytes),
    "csv": ("nodes.csv", csv.as_bytes), "junit": ("junit.xml", junit.as_bytes),
}


def content(run: Run, format: str) -> bytes:
    """Return a run's report in one of FORMATS. Raises StypticError where a fault of ours keeps it from being made."""
    name, as_bytes = FORMATS[format]
    try:
        return as_bytes(run)
    except Exception as error:  # a surprise in what a node said is no end of a rollout's last words
        raise StypticError(
            f"{name} cannot be made, by a fault in Styptic itself, please report it: {type(error).__name__}: "
            f"{clean(str(error))}; the journal holds how each node ended."
        ) from error


def write(run: Run, directory: Path) -> None:
    """Write every report into `directory`, each whole or, on any error, as it was.

    Raises OSError, and StypticError as content() does once the others are written.
    """
    faults = []
    for format, (name, _) in FORMATS.items():
        try:
            write_whole(directory / name, content(run, format))
        except StypticError as fault:
            faults.append(fault)
    if faults:
        raise faults[0]
