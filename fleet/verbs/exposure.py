"""`invoke exposure`: which certificates and keys may have leaked before the patch; changes nothing anywhere."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from fleet.cli import verb
from fleet.errors import SettingsError
from fleet.verbs import shared

OWN = {
    "directory": "Directory on the nodes to look into as well, three levels deep; may be repeated",
    "json": "As JSON, for programs",
    "report": "Directory for exposure.json, the same",
    "quiet": "Show only what was found",
}


@verb(
    help=shared.WHOM | shared.WHAT | OWN | shared.SSH, short=shared.short(shared.WHOM, shared.SSH),
    iterable=["advisory", "directory"],
)
def exposure(
    context, env=None, query=None, advisory=None, directory=None, json=False, report=None, limit=None,
    address_attribute=None, ssh_user=None, ssh_identity_file=None, ssh_port=None, ssh_gateway=None, ssh_config=None,
    host_keys=None, sudo=False, concurrency=None, timeout=None, profile=None, quiet=False,
):
    """
    List the certificates and keys that may have leaked before a node was patched, and those that were since replaced.

    invoke exposure --env production --advisory heartbleed
    invoke exposure --env production --advisory heartbleed --directory /srv/tls --report styptic-report

    Reads, on each node, the configurations of its TLS services, and what their processes have. Of private keys nothing
    but the digest of the public half leaves a node. A certificate from before the patch is exposed; one from after it
    is rekeyed, or was reissued with the same key, which helps nothing. See docs/exposure.md.
    Exit codes: 0 nothing is exposed, 2 something is or is unknown, 10 no node matched, 1 wrong usage.
    """
    settings, advisories = shared.told(**{name: value for name, value in locals().items() if name != "json"})
    leaking = [each for each in advisories if each.leaks]
    if not leaking:
        named = ", ".join(each.id for each in advisories)
        print("{}" if json else f"{named}: nothing leaks by it, so no key or certificate has to be replaced for it.")
        return 0
    from fleet import exposure_run, exposure_text
    from fleet import plan as planning
    from fleet.chef import search
    from fleet.journal import Journal, default_path
    from fleet.verbs import rolling

    with Journal(default_path()) as journal:
        with shared.shop(settings) as shop:
            ways = rolling.ways(settings, shop.config)
            made = planning.make(shared.nodes_of(shop.server, settings, leaking), leaking, settings, converge=False)
            url = shop.server.url
        query = search.searched(settings.environment, settings.query)
        with _progress(settings.quiet, len(made.asked)) as tell:
            result = exposure_run.carry_out(settings, ways, journal, url, query, leaking, made, tell)
    if settings.report:
        _write(Path(settings.report), exposure_text.as_json(result, settings.whom, url))
    if json:
        print(exposure_text.as_json(result, settings.whom, url))
    else:
        for line in exposure_text.lines(result, settings.whom):
            print(line)
    return result.exit_code


@contextlib.contextmanager
def _progress(quiet: bool, total: int) -> Iterator[Callable]:
    """Show how it goes where stderr is a terminal; yield what hears of each node that ended."""
    from fleet import console

    shown = console.for_stream(sys.stderr, quiet=quiet or not sys.stderr.isatty())
    shown.begin(total)
    try:
        yield shown.ended
    finally:
        shown.close()


def _write(directory: Path, text: str) -> None:
    """Write exposure.json, readable by its owner alone. Raises SettingsError where it cannot be written."""
    from fleet.report.record import write_whole

    try:
        write_whole(directory / "exposure.json", f"{text}\n".encode())
    except OSError as error:
        raise SettingsError(
            f"the report cannot be written to {directory}: {error.strerror}; the journal holds what was found."
        ) from error
