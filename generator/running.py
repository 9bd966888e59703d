"""Which services run on a node, asked of its own service manager."""

from collections.abc import Iterable

from generator.errors import ProbeError
from generator.services import NAME
from generator.shell import join

FIRST, LAST = "styptic-running 1", "end"
# systemctl(1): is-active exits 0 for a unit that runs. Linux Standard Base: so does an init script's status. A script
# that knows no status says nothing that could be relied on.
SCRIPT = r"""
LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
export LC_ALL PATH
printf 'styptic-running 1\n'
for name in @NAMES@; do
    if [ -d /run/systemd/system ]; then
        systemctl is-active --quiet "$name.service" 2>/dev/null || continue
    else
        grep -q status "/etc/init.d/$name" 2>/dev/null || continue
        "/etc/init.d/$name" status </dev/null >/dev/null 2>&1 || continue
    fi
    printf 'running\t%s\n' "$name"
done
printf 'end\n'
"""


def command(names: Iterable[str]) -> str:
    """Return a program for `sh -s` or `sh -c` that says which of these units or init scripts run; it changes nothing.

    Raises ValueError for what is no name of either.
    """
    names = sorted(set(names))
    if wrong := [name for name in names if not NAME.fullmatch(name)]:
        raise ValueError(f"{wrong[0]!r} is no name of a service")
    return SCRIPT.replace("@NAMES@", join(names))


def parse(text: str) -> tuple[str, ...]:
    """Return the names of those that run, sorted. Raises ProbeError for an answer that is not whole."""
    lines = text.splitlines()
    if FIRST not in lines or lines[-1] != LAST:
        raise ProbeError("the node did not say which of its services run.")
    found = [line.split("\t") for line in lines[lines.index(FIRST) + 1 : -1]]
    for fields in found:
        if len(fields) != 2 or fields[0] != "running" or not NAME.fullmatch(fields[1]):
            raise ProbeError(f"the node answered with a line of no known form: {' '.join(fields)[:100]!r}")
    return tuple(sorted({name for _, name in found}))
