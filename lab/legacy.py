"""What makes a node Debian-7-like: locally built openssl and libssl1.0.0, and a TLS service that holds the library.

The packages are lab equipment: their shared objects are a small library of the base under another name, which a process
really maps, and hold no OpenSSL. Names and versions are those of DSA-2896-1, so that Heartbleed's own row is what
patches the node.
"""

import platform
import shutil
from pathlib import Path

from lab import host

VULNERABLE = "1.0.1e-2+deb7u4"
FIXED = "1.0.1e-2+deb7u5"

#: The daemon that the service's init script runs; stunnel4 is what such a host has had before its libraries.
DAEMON = r"""#!/usr/bin/perl
# Lab equipment in stunnel4's place: holds libssl and libcrypto open, listens on 7443; a reload keeps the libraries.
use strict;
use DynaLoader;
use IO::Socket::INET;
use POSIX qw(setsid);
for my $name ('libcrypto.so.1.0.0', 'libssl.so.1.0.0') {
    my $file = DynaLoader::dl_findfile("-L/usr/lib/TRIPLET", $name) or die "stunnel4: no $name\n";
    DynaLoader::dl_load_file($file, 0) or die 'stunnel4: ' . DynaLoader::dl_error() . "\n";
}
my $door = IO::Socket::INET->new(LocalPort => 7443, Listen => 16, ReuseAddr => 1) or die "stunnel4: 7443: $!\n";
defined(my $child = fork) or die "stunnel4: $!\n";
exit 0 if $child;
setsid;
$SIG{HUP} = sub { };
open(my $file, '>', '/run/stunnel4.pid') or die "stunnel4: $!\n";
print $file "$$\n";
close $file;
open(STDIN, '<', '/dev/null');
open(STDOUT, '>', '/dev/null');
open(STDERR, '>', '/dev/null');
while (1) { my $caller = $door->accept or next; close $caller }
"""

TOOL = """#!/bin/sh
[ "$1" = version ] && exec echo "OpenSSL VERSION (lab equipment)"
echo "openssl: lab equipment, knows no ${1:-command}" >&2
exit 1
"""

INIT_SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides:          stunnel4
# Required-Start:    $network
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: the lab's TLS service, in stunnel4's place
### END INIT INFO
. /lib/lsb/init-functions
PIDFILE=/run/stunnel4.pid
case $1 in
start)
    log_daemon_msg "Starting TLS tunnels" stunnel4
    start-stop-daemon --start --quiet --oknodo --pidfile $PIDFILE --name stunnel4 --startas /usr/bin/stunnel4
    log_end_msg $? ;;
stop)
    log_daemon_msg "Stopping TLS tunnels" stunnel4
    start-stop-daemon --stop --quiet --oknodo --retry TERM/10/KILL/5 --pidfile $PIDFILE --name stunnel4
    stopped=$?
    rm -f $PIDFILE
    log_end_msg $stopped ;;
reload | force-reload) start-stop-daemon --stop --signal HUP --quiet --pidfile $PIDFILE --name stunnel4 ;;
restart) $0 stop && $0 start ;;
status) status_of_proc -p $PIDFILE stunnel4 stunnel4 ;;
*) echo "usage: $0 {start|stop|reload|restart|status}" >&2; exit 2 ;;
esac
"""

SYSTEM = """PRETTY_NAME="Debian GNU/Linux 7 (wheezy)"
NAME="Debian GNU/Linux"
VERSION_ID="7"
VERSION="7 (wheezy)"
ID=debian
"""


def packages(root: Path) -> Path:
    """Build the packages of both versions, and the service's; return the directory that holds them.

    `root` is a base whose libdl lends its code to the two libraries. Made once and kept in the cache.
    """
    target = host.cache() / "legacy" / host.fingerprint(Path(__file__).read_text(), triplet())
    if target.is_dir():
        return target
    host.say(f"building openssl and libssl1.0.0 {VULNERABLE} and {FIXED}")
    shutil.rmtree(target.parent, ignore_errors=True)
    made = target.with_suffix(".new")
    made.mkdir(parents=True)
    code = (root / f"usr/lib/{triplet()}/libdl.so.2").read_bytes()
    for version in (VULNERABLE, FIXED):
        libraries = {
            f"usr/lib/{triplet()}/{name}": (code + f"\0lab {name} {version}\0".encode(), 0o644)
            for name in ("libssl.so.1.0.0", "libcrypto.so.1.0.0")
        }
        build(made, "libssl1.0.0", version, "", libraries)
        tool = TOOL.replace("VERSION", version.split("-")[0]).encode()
        build(made, "openssl", version, f"libssl1.0.0 (>= {version})", {"usr/bin/openssl": (tool, 0o755)})
    # Today's wants a newer openssl, and ruby wants one.
    build(made, "ca-certificates", "20130119+deb7u1", "", {})
    files = {
        "usr/bin/stunnel4": (DAEMON.replace("TRIPLET", triplet()).encode(), 0o755),
        "etc/init.d/stunnel4": (INIT_SCRIPT.encode(), 0o755),
    }
    build(made, "stunnel4", "3:4.53-1.1", "libssl1.0.0", files)
    made.chmod(0o755)
    made.rename(target)
    return target


def build(out: Path, name: str, version: str, depends: str, files: dict[str, tuple[bytes, int]]) -> None:
    """Write one installable .deb into `out`; `files` are path to content and mode. See deb(5)."""
    tree = out / "tree"
    for path, (content, mode) in files.items():
        place = tree / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(mode)
    control = tree / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    needs = f"Depends: {depends}\n" if depends else ""
    multiarch = "same" if name.startswith("lib") else "foreign"
    control.write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture()}\nMulti-Arch: {multiarch}\n"
        f"Maintainer: lab <lab@localhost>\n{needs}Description: lab equipment in the place of {name}\n"
    )
    archive = out / f"{name}_{version.replace(':', '%3a')}_{architecture()}.deb"
    host.pack(tree, archive)
    shutil.rmtree(tree)


def architecture() -> str:
    """Return the machine's Debian architecture, amd64 say."""
    return host.run("dpkg", "--print-architecture").strip()


def triplet() -> str:
    """Return the machine's multiarch directory name, x86_64-linux-gnu say."""
    return f"{platform.machine()}-linux-gnu"


def settle(root: Path, packages_at: Path) -> None:
    """Turn a Debian root file system into the Debian-7-like one, with the vulnerable packages installed."""
    host.run("dpkg", f"--root={root}", "--purge", "--force-depends", "openssl", "ca-certificates")
    chosen = [archive for archive in packages_at.glob("*.deb") if FIXED not in archive.name]
    host.run("dpkg", f"--root={root}", "--install", *chosen)
    (root / "etc/apt/sources.list.d/lab.list").write_text(
        "deb [trusted=yes] file:///srv/repo/legacy ./\ndeb [trusted=yes] file:///srv/repo/current ./\n"
    )
    # The library that its sshd runs is the base's and comes from there; the tool stays that of its release.
    (root / "etc/apt/preferences.d/lab").write_text(
        f"Package: openssl\nPin: version {VULNERABLE.split('-')[0]}-*\nPin-Priority: 1001\n"
    )
    for path in ("usr/lib/os-release", "etc/os-release"):
        (root / path).unlink(missing_ok=True)
        (root / path).write_text(SYSTEM)
    (root / "etc/debian_version").write_text("7.11\n")
