"""`invoke report`: the reports of a run once more, out of the journal; it asks neither server nor node."""

import sys
from pathlib import Path

from fleet.cli import verb
from fleet.errors import SettingsError
from fleet.text import clean
from fleet.verbs import shared

HELP = {
    "run": "The run, or the beginning of its name (default: the last that patched or verified)",
    "format": "html (the default), json, csv or junit",
    "output": "File to write, for your eyes alone (default, and -: standard output)",
}


@verb(help=HELP)
def report(context, run=None, format="html", output=None):
    """
    Make the report of a run again: for people (html), programs (json), spreadsheets (csv) or CI (junit).

    invoke report --output report.html
    invoke report --run 20260102T030405Z --format json | jq .verdict
    invoke report --format csv --output nodes.csv

    Reads the journal ($STYPTIC_STATE, or ~/.local/state/styptic/journal.db). What it writes is what `--report` of that
    run wrote, and what became known since: of a run that was killed, too, as far as the journal knows it.
    """
    shared.settings_of(context, {}, whom=False)
    from fleet.journal import default_path
    from fleet.report import formats, past
    from fleet.report.record import write_whole

    if format not in formats.FORMATS:
        raise SettingsError(f"--format is {', '.join(formats.FORMATS)}, not {clean(format)!r}.")
    if output == "":
        raise SettingsError("--output wants the name of a file, or - for standard output.")
    to_stdout = output in (None, "-")
    if to_stdout and format == "html" and sys.stdout.isatty():
        raise SettingsError("a page is nothing for a terminal: give --output report.html, or another --format.")
    content = formats.content(past.read(default_path(), run), format)
    if to_stdout:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        return
    try:
        write_whole(Path(output), content)
    except OSError as error:
        raise SettingsError(f"--output {clean(output)} cannot be written: {error.strerror}.") from error
