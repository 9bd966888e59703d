"""What the checks ask a host, once: who we are there, what it is, the packages that the advisories are about, its
services, the probe.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pytest

from generator import advisory, offers, packages, platforms, probe, running, services, tls
from generator.errors import ProbeError, StypticError
from generator.offers import Offers
from generator.shell import join

DEFAULT = "CVE-2014-0160"
ADVISORIES = pytest.StashKey[list]()
# os-release(5) ID to ohai's platform, where they differ; see the sources in generator/platforms.py.
OHAI = {"rhel": "redhat", "ol": "oracle", "amzn": "amazon", "opensuse-leap": "opensuseleap"}
FAILED = 1  # "program is dead and /var/run pid file exists", the Linux Standard Base's status of an init script

ASK = r"""
LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
export LC_ALL PATH
printf 'styptic-check 1\n'
printf 'uid\t%s\n' "$(id -u)"
printf 'clock\t%s\n' "$(date +%s)"
read -r up _ </proc/uptime && printf 'up\t%s\n' "$up"
[ ! -r /etc/os-release ] || (. /etc/os-release; printf 'os\t%s\t%s\n' "${ID-}" "${VERSION_ID-}")
[ ! -r /etc/debian_version ] || printf 'debian\t%s\n' "$(head -n 1 /etc/debian_version)"
[ ! -r /etc/redhat-release ] || printf 'redhat\t%s\n' "$(head -n 1 /etc/redhat-release)"
@PACKAGES@
find /var/lib/dpkg/info @LISTS@ 2>/dev/null | while IFS= read -r list; do
    printf 'installed\t%s\n' "$(stat -c %Y "$list")"
done
if command -v rpm >/dev/null 2>&1; then rpm -qa --qf 'installed\t%{INSTALLTIME}\n' @PATTERNS@ 2>/dev/null; fi
if [ -d /run/systemd/system ]; then
    systemctl show -p Id -p ActiveState -p InactiveEnterTimestampMonotonic @UNITS@ 2>/dev/null |
        while IFS= read -r line; do printf 'unit\t%s\n' "$line"; done
else
    for name in @NAMES@; do
        grep -q status "/etc/init.d/$name" 2>/dev/null || continue
        "/etc/init.d/$name" status >/dev/null 2>&1 </dev/null
        printf 'script\t%s\t%s\n' "$name" "$?"
    done
fi
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("styptic", "Styptic: are --hosts patched?")
    group.addoption(
        "--advisory", action="append", dest="advisories", metavar="NAME",
        help="A CVE, a name such as heartbleed, or a .toml file; may be repeated. Default: $STYPTIC_ADVISORIES, comma "
        f"separated, else {DEFAULT}",
    )
    group.addoption(
        "--latest", action="store_true", default=False,
        help="In place of an advisory, before there is one: every OpenSSL package is the newest that the host's "
        "repositories offer",
    )
    group.addoption(
        "--strict-sessions", action="store_true", default=os.environ.get("STYPTIC_STRICT", "") not in ("", "0"),
        help="Fail a host, too, on which a login still runs the old library. Default: $STYPTIC_STRICT",
    )
    group.addoption(
        "--tls-port", action="append", dest="tls_ports", type=listener, metavar="PORT[=NAME]",
        help="A port on which the host must answer a TLS handshake, with who did before; may be repeated",
    )
    group.addoption(
        "--service", action="append", dest="services", metavar="NAME",
        help="A systemd unit or init script that must run on the host; may be repeated",
    )


def listener(text: str) -> tuple[int, str]:
    """Return what --tls-port says: a port, and who listens there, which may be empty. Raises ValueError."""
    port, _, name = text.partition("=")
    return int(port), name


def pytest_configure(config: pytest.Config) -> None:
    """Refuse hosts that testinfra would reach without looking at their host keys; read the advisories."""
    hosts = (config.getoption("hosts") or "").split(",")
    connection = config.getoption("connection") or ""
    for host in filter(None, hosts):
        scheme = host.partition("://")[0] if "://" in host else connection or "paramiko"
        if scheme == "paramiko":
            raise pytest.UsageError(
                f"--hosts: testinfra would reach {host} by paramiko, which trusts any host key; give every host a "
                "scheme of its own, as in --hosts=ssh://web1,ssh://web2."
            )
    if config.getoption("latest"):
        if config.getoption("advisories"):
            raise pytest.UsageError("--latest is for before there is an advisory: give it, or --advisory, not both.")
        config.stash[ADVISORIES] = [advisory.latest()]
        return
    names = config.getoption("advisories") or os.environ.get("STYPTIC_ADVISORIES", DEFAULT).split(",")
    try:
        config.stash[ADVISORIES] = advisory.load([name.strip() for name in names if name.strip()] or [DEFAULT])
    except StypticError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "asked" in metafunc.fixturenames:
        found = metafunc.config.stash[ADVISORIES]
        metafunc.parametrize("asked", found, ids=[each.id for each in found])
    if "tls_port" in metafunc.fixturenames:
        ports = sorted(dict(metafunc.config.getoption("tls_ports") or ()))
        none = pytest.param(0, id="none", marks=pytest.mark.skip("no --tls-port was given"))
        metafunc.parametrize("tls_port", ports or [none])
    if "service" in metafunc.fixturenames:
        names = sorted(set(metafunc.config.getoption("services") or ()))
        none = pytest.param("", id="none", marks=pytest.mark.skip("no --service was given"))
        metafunc.parametrize("service", names or [none])


@dataclass(frozen=True)
class Told:
    """What a host said of itself: `platform` and `version` as ohai spells them, packages by name with full version,
    those that dpkg has not done with by name with their state, the probe's findings, and the services that died; on day
    zero what its repositories offer.
    """

    platform: str
    version: str
    packages: Mapping[str, str]
    half_way: Mapping[str, str]
    findings: probe.Findings
    dead: tuple[str, ...]
    offered: Offers | None = None


@pytest.fixture(scope="module")
def told(host, request) -> Told:
    """Ask a host, in one command."""
    asked = request.config.stash[ADVISORIES]
    latest = any(each.latest for each in asked)
    libraries = sorted({stem for each in asked for stem in each.libraries})
    patterns = packages.names(asked)
    names = sorted({name for service in services.load().values() for name in service.names})
    script = ASK.replace("@PACKAGES@", packages.script(patterns) + (offers.script(patterns) if latest else ""))
    script = script.replace("@LISTS@", lists(patterns)).replace("@PATTERNS@", join(patterns))
    script = script.replace("@NAMES@", join(names))
    script = script.replace("@UNITS@", join(f"{name}.service" for name in names))
    answer = answer_of(host, script + probe.command(libraries))
    head, mark, rest = answer.partition(probe.FIRST)
    lines = head.splitlines()
    if "styptic-check 1" not in lines or not mark:
        pytest.fail(f"the host gave no whole answer: {answer[-300:]!r}", pytrace=False)
    fields = [line.split("\t") for line in lines]
    said = {each[0]: each[1:] for each in fields}
    if said.get("uid") != ["0"]:
        pytest.fail("the login is not root's and sees not every process: give --sudo, or log in as root", pytrace=False)
    dead = (*whole(dead_units, fields), *dead_scripts(fields))
    installed = whole(lambda lines: packages.parse(lines, packages.concern(asked)), lines)
    offered = offers.parse(lines, installed) if latest else None
    half_way = packages.half_way(lines, packages.concern(asked))
    return Told(*platform_of(said), installed, half_way, whole(probe.parse, mark + rest), dead, offered)


def lists(patterns: Iterable[str]) -> str:
    """Return what find(1) is told of the files in which dpkg lists these packages' files: an upgrade writes them."""
    names = [f"{pattern}{end}" for pattern in patterns for end in (".list", ":*.list")]
    return join([word for name in names for word in ("-o", "-name", name)][1:])


@pytest.fixture(scope="session")
def counted(request) -> frozenset[str]:
    """The kinds of stale processes that fail a host."""
    restarts = (each.restart for each in request.config.stash[ADVISORIES])
    return probe.kinds(restarts, request.config.getoption("strict_sessions"))


@pytest.fixture(scope="session")
def deeper(request) -> bool:
    """True if an advisory is about what only a reboot changes."""
    return any(each.restart == "reboot" for each in request.config.stash[ADVISORIES])


@pytest.fixture(scope="module")
def answering(host, request) -> tuple[int, ...]:
    """The ports of --tls-port that answer a TLS handshake."""
    ports = sorted(dict(request.config.getoption("tls_ports")))
    return whole(tls.parse, answer_of(host, tls.command(ports)))


@pytest.fixture(scope="session")
def whose(request) -> dict[int, str]:
    """The ports of --tls-port with who answered there before, empty where nobody said."""
    return dict(request.config.getoption("tls_ports"))


@pytest.fixture(scope="module")
def serving(host, request) -> tuple[str, ...]:
    """The services of --service that run."""
    try:
        script = running.command(request.config.getoption("services"))
    except ValueError as error:
        pytest.fail(str(error), pytrace=False)
    return whole(running.parse, answer_of(host, script))


def answer_of(host, script: str) -> str:
    """Return what a program for sh prints on a host; a host that cannot be asked fails in one line."""
    trouble = None
    try:
        answer = host.run("sh -c %s", script)
        if answer.rc and not answer.stdout_bytes:
            trouble = answer.stderr_bytes
    except RuntimeError as error:  # testinfra's way to say that ssh(1) failed: its result is the argument
        trouble = getattr(error.args[0], "stderr_bytes", str(error).encode())
    if trouble is not None:
        said = " ".join(trouble.decode(errors="replace").split())[-300:]
        pytest.fail(f"the host cannot be asked: {said or 'it gives no reason'}", pytrace=False)
    return answer.stdout_bytes.decode(errors="replace")


def whole(parse, answer):
    """Return `parse(answer)`; an answer that is not whole fails in one line."""
    try:
        return parse(answer)
    except StypticError as error:
        reason = str(error)
    return pytest.fail(reason, pytrace=False)


def platform_of(said: Mapping[str, list[str]]) -> tuple[str, str]:
    """Return platform and version as ohai spells them: from os-release(5), on Red Hat's from /etc/redhat-release, on a
    Debian that is not released yet from /etc/debian_version.
    """
    identity, version = (*said.get("os", ()), "", "")[:2]
    platform = OHAI.get(identity, identity)
    red = (*said.get("redhat", ()), "")[0]
    found = re.search(r"release (\d+(?:\.\d+)*)", red)
    if found and platforms.FAMILY.get(platform, "rhel") in ("rhel", "fedora"):
        names = {"CentOS": "centos", "Red": "redhat", "Oracle": "oracle", "Scientific": "scientific"}
        return platform or names.get(red.split()[0], ""), found[1]
    if platform == "debian" and not version:
        version = (*said.get("debian", ()), "")[0]
    return platform, version


def dead_units(fields: list[list[str]]) -> list[str]:
    """Return the systemd units that failed since a package was last installed; raises ProbeError.

    One that failed before that was not running when the library was replaced, and the patch has not stopped it.
    """
    said = {each[0]: each[1] for each in fields if len(each) == 2}
    installed = max((int(each[1]) for each in fields if each[0] == "installed" and each[1].isdecimal()), default=0)
    dead, unit = [], {}
    try:
        booted = float(said["clock"]) - float(said["up"])
        for line in [*(each[1] for each in fields if each[0] == "unit" and len(each) == 2), ""]:
            if line:
                key, _, value = line.partition("=")
                unit[key] = value
                continue
            entered = int(unit.get("InactiveEnterTimestampMonotonic") or 0) / 1e6  # us since boot, systemd's D-Bus API
            if unit.get("ActiveState") == "failed" and booted + entered >= installed - 1:
                dead.append(unit.get("Id", "?"))
            unit = {}
    except (KeyError, ValueError) as error:
        raise ProbeError("the host did not say its clock, its uptime and how its units are.") from error
    return dead


def dead_scripts(fields: list[list[str]]) -> list[str]:
    """Return the services whose init script says that they died; one that was stopped has no PID file left."""
    return [each[1] for each in fields if each[0] == "script" and each[2:] == [str(FAILED)]]
