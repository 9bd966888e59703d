"""What every verb has in common: knife's short flags, one sentence for an error, an exit code."""

import functools
import os
import sys
from collections.abc import Callable, Iterable, Mapping

from invoke import Task
from invoke.util import yaml

from fleet.text import clean
from generator.errors import StypticError

INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
PIPE_CLOSED = 141  # 128 + SIGPIPE
SENTENCE = 16_000  # characters: room for the names of fleet.push.NAMED nodes


class Verb(Task):
    """An Invoke task whose flags have the short names given and no others.

    Invoke derives short flags from the long ones; ours are knife's (-x -i -p -G -C -a) and must not move when a
    flag is added.
    """

    def __init__(self, body: Callable, short: Mapping[str, str], **options):
        super().__init__(body, auto_shortflags=False, **options)
        self.short = dict(short)

    def arg_opts(self, name, default, taken_names):
        options = super().arg_opts(name, default, taken_names)
        if letter := self.short.get(name):
            options["names"] = [*options["names"], letter]
        return options

    def get_arguments(self, ignore_unknown_help=None):
        """As Invoke's, but `help` stays whole: Invoke empties it, and a second call would find none."""
        kept = dict(self.help)
        try:
            return super().get_arguments(ignore_unknown_help)
        finally:
            self.help = kept


def verb(*, help: Mapping[str, str], short: Mapping[str, str] | None = None, iterable: Iterable[str] = ()) -> Callable:
    """Decorate `body(context, **flags) -> int | None` as a verb; what it returns is the exit code (None is 0).

    `help` explains every flag, `short` gives a flag its letter, `iterable` names the flags that may be repeated.
    """

    def decorate(body: Callable) -> Verb:
        @functools.wraps(body)
        def plainly(*arguments, **flags):
            code = said_plainly(lambda: body(*arguments, **flags))
            if code:
                raise SystemExit(code)

        return Verb(plainly, short or {}, help=dict(help), iterable=list(iterable))

    return decorate


def settings_said_plainly() -> None:
    """Have an invoke.yaml that is no YAML end in one sentence and 1: Invoke reads it before any verb begins."""
    before = sys.excepthook

    def hook(kind, error, trace) -> None:
        if isinstance(error, yaml.YAMLError):
            complain(f"the settings are no YAML, so nothing was begun: {error}.", 1)
        else:
            before(kind, error, trace)

    sys.excepthook = hook


def said_plainly(work: Callable[[], int | None]) -> int:
    """Run `work` and return its exit code; what can go wrong is one sentence on stderr, never a traceback."""
    # A node may be named in characters that this terminal's encoding lacks; that must not end anything.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = work() or 0
        if sys.stdout:  # None where the caller closed it
            sys.stdout.flush()
    except StypticError as error:
        return complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return complain("interrupted; what was already sent to a node may still be running there.", INTERRUPTED)
    except BrokenPipeError:
        silence(sys.stdout)
        return PIPE_CLOSED
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return complain(f"{error.strerror or error}{where}.", 1)
    return code


def complain(sentence: str, code: int) -> int:
    """Print the sentence on stderr, free of what a node or a server may have smuggled in, and return `code`."""
    try:
        print("styptic:", clean(sentence, SENTENCE), file=sys.stderr, flush=True)
    except OSError:  # a closed pipe, or a terminal that hung up
        silence(sys.stderr)
    return code


def silence(stream) -> None:
    """Point `stream` at /dev/null, so that nothing more is written to a pipe nobody reads (not even at exit)."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, stream.fileno())
    finally:
        os.close(null)
