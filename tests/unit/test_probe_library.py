"""What probe.sh says of the library files themselves: there again, since when, which build, and copies of their own."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from generator import probe
from tests.proc_tree import LIBCRYPTO, LIBSSL, SHELLS, Tree

OLD = b"\x7fELF\0\0part of OpenSSL 1.0.1e 11 Feb 2013\0x\0MD5 part of OpenSSL 1.0.1e 11 Feb 2013\0"
BUILT = b"built on: Wed Jan  8 20:58:47 UTC 2014\0platform: x\0"
TOLD = "OpenSSL 1.0.1e 11 Feb 2013, built on: Wed Jan  8 20:58:47 UTC 2014"


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_file_that_was_replaced_by_an_identical_one_is_not_stale(tree, shell):
    held = tree.file("/held/libssl.so.3", OLD + BUILT)
    tree.file(LIBSSL, OLD + BUILT)
    tree.process(20, f"{LIBSSL} (deleted)", held=held)
    tree.process(21, f"{LIBSSL} (deleted)", held=held)
    tree.process(22, f"{LIBSSL} (deleted)", held=tree.file("/held/other", OLD + b"." + BUILT[1:]), inode=4712)
    tree.process(23, f"{LIBSSL} (deleted)", inode=4713)  # and where the mapped file cannot be read nobody knows
    assert [each.pid for each in tree.found(shell).stale] == [22, 23]


def test_one_library_that_is_there_again_does_not_excuse_the_other(tree):
    held = tree.file("/held/libssl.so.3", OLD)
    tree.file(LIBSSL, OLD)
    tree.file(LIBCRYPTO, OLD + b"mended")
    tree.process(20, f"{LIBSSL} (deleted)", f"{LIBCRYPTO} (deleted)", held=held)
    assert [each.library for each in tree.found().stale] == [LIBCRYPTO]


def test_a_file_is_compared_once_however_many_map_it(tree):
    """The second process maps the same device and inode: what its map_files says is not asked again."""
    tree.file(LIBSSL, OLD)
    tree.process(20, f"{LIBSSL} (deleted)", held=tree.file("/held/one", OLD))
    tree.process(21, f"{LIBSSL} (deleted)", held=tree.file("/held/two", OLD + b"other"))
    assert tree.found().stale == ()


@pytest.mark.parametrize("spoil", [
    lambda path: (path.unlink(), os.mkfifo(path)),  # would hold whoever opens it
    lambda path: (path.rename(path.with_name("x")), path.symlink_to("x")),
    lambda path: path.chmod(0o666), lambda path: path.parent.chmod(0o777), lambda path: path.parent.parent.chmod(0o775),
    lambda path: os.truncate(path, 65 << 20), lambda path: path.unlink(),
    lambda path: os.chown(path, 1000, 0), lambda path: os.chown(path.parent, 1000, 0),
])
def test_what_a_user_could_swap_is_not_opened_and_stays_stale(tree, spoil):
    path = tree.file("/opt/x/lib/libssl.so.3", OLD)
    held = tree.file("/held/libssl.so.3", OLD)
    tree.process(20, "/opt/x/lib/libssl.so.3 (deleted)", held=held)
    assert tree.found().stale == ()
    spoil(path)
    if path.is_file():
        os.truncate(held, path.stat().st_size)  # so that it is not its length that tells them apart
    assert [each.pid for each in tree.found().stale] == [20]


def test_no_more_than_fifty_files_are_compared(tree):
    tree.file(LIBSSL, OLD)
    held = tree.file("/held/libssl.so.3", OLD)
    for number in range(60):
        tree.process(100 + number, f"{LIBSSL} (deleted)", held=held, inode=5000 + number)
    assert [each.pid for each in tree.found().stale] == list(range(150, 160))


@pytest.mark.parametrize("shell", SHELLS)
def test_a_really_mapped_library_is_there_again_or_is_not(shell):
    """Real files in the user's home, because what lies in /tmp does not count; the kernel lets root alone compare."""
    source = next(Path("/usr/lib").glob("*/libcrypto.so.*"), None) or next(Path("/usr/lib64").glob("libcrypto.so.*"))
    program = "import ctypes, os, sys; a = sys.argv[1]; ctypes.CDLL(a); os.unlink(a); print('held', flush=1); input()"
    place = Path(tempfile.mkdtemp(prefix=".styptic-test-", dir=Path.home()))
    copy = place / source.name
    try:
        shutil.copyfile(source, copy)
        with subprocess.Popen(
            [sys.executable, "-c", program, copy], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout.readline() == b"held\n"
            if not any(readable(path) for path in Path(f"/proc/{holder.pid}/map_files").glob("*")):
                holder.communicate(b"\n")
                pytest.skip("map_files cannot be read here")
            answers = []
            for content in (source.read_bytes(), source.read_bytes() + b"."):
                copy.write_bytes(content)
                asked = subprocess.run(
                    [*shell, "-s"], input=probe.command(), text=True, capture_output=True, check=True
                )
                answers.append([each for each in probe.parse(asked.stdout).stale if each.pid == holder.pid])
            holder.communicate(b"\n")
    finally:
        shutil.rmtree(place)
    assert answers[0] == []
    (found,) = answers[1]
    assert found.build.startswith("OpenSSL ")
    assert ", built on: " in found.build
    assert abs(found.since - time.time()) < 60, "it started just now"


def readable(path: Path) -> bool:
    """Return whether a file can be opened."""
    try:
        path.open("rb").close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("shell", SHELLS)
def test_since_when_and_which_build(tree, shell):
    tree.booted(1_700_000_000)
    held = tree.file("/held/libcrypto", OLD + BUILT)
    tree.process(20, f"{LIBCRYPTO} (deleted)", ticks=12_345, held=held)
    tree.process(21, f"{LIBCRYPTO} (deleted)", ticks=99, held=held, name="evil) S 1 ((")
    tree.process(22, f"{LIBCRYPTO} (deleted)", ticks=1, inode=9)
    assert [(each.since, each.build) for each in tree.found(shell).stale] == [
        (1_700_000_123, TOLD), (1_700_000_000, TOLD), (1_700_000_000, None),
    ]


def test_since_when_is_not_known_where_the_node_does_not_say_when_it_started(tree):
    tree.process(20, f"{LIBSSL} (deleted)", ticks=5)
    assert [each.since for each in tree.found().stale] == [None]


@pytest.mark.parametrize(("content", "told"), [
    (b"\0OpenSSL 1.0.2k-fips  26 Jan 2017\0", "OpenSSL 1.0.2k-fips  26 Jan 2017"),
    (b"\0OpenSSL 3.0.22 25 Aug 2026\0built on: Wed Oct 21 09:54:24 2026 UTC\0",
     "OpenSSL 3.0.22 25 Aug 2026, built on: Wed Oct 21 09:54:24 2026 UTC"),
    (b"\0OpenSSL 1.1.1k  FIPS 25 Mar 2021\0", None), (b"\0no library at all\0", None), (b"", None),
    (b"\0built on: reproducible build, date unspecified\0OpenSSL 1.1.1k 25 Mar 2021\0", "OpenSSL 1.1.1k 25 Mar 2021"),
    (b"\0" * (16 << 20) + b"OpenSSL 1.0.1e 11 Feb 2013", None),
    (b"\nOpenSSL 1.0.1e 11 Feb 2013\tx\nstale\t1\n", "OpenSSL 1.0.1e 11 Feb 2013"),
])
def test_what_a_library_says_of_itself(tree, content, told):
    tree.process(20, f"{LIBSSL} (deleted)", held=tree.file("/held/libssl", content))
    assert [each.build for each in tree.found().stale] == [told]


@pytest.mark.parametrize("shell", SHELLS)
def test_copies_that_no_upgrade_reaches_are_listed_once(tree, shell):
    held = tree.file("/held/libcrypto", OLD + BUILT)
    tree.process(20, "/opt/agent/embedded/lib/libcrypto.so.1.0.0", LIBSSL, held=held)
    tree.process(21, "/opt/agent/embedded/lib/libcrypto.so.1.0.0", "/opt/with space/libssl.so.3", inode=21)
    tree.process(22, "/usr/local/lib/libssl.so.3", f"{LIBSSL} (deleted)", inode=22)
    tree.process(23, "/home/x/venv/cryptography.libs/libssl-60250955.so.1.0.0", "/libssl.so.3", inode=23)
    for process in (20, 21, 22, 23):  # the mapping of a file's beginning is the one that counts
        maps = tree.proc / str(process) / "maps"
        maps.write_text(maps.read_text() + maps.read_text().replace("00000000 fe", "00001000 fe"))
    found = tree.found(shell)
    assert found.copies == (
        probe.Copy(23, "/home/x/venv/cryptography.libs/libssl-60250955.so.1.0.0", None),
        probe.Copy(23, "/libssl.so.3", None),
        probe.Copy(20, "/opt/agent/embedded/lib/libcrypto.so.1.0.0", TOLD),
        probe.Copy(21, "/opt/with space/libssl.so.3", None),
        probe.Copy(22, "/usr/local/lib/libssl.so.3", None),
    )
    assert [each.pid for each in found.stale] == [22]


@pytest.mark.parametrize("path", [
    LIBSSL, "/lib/libcrypto.so.3", "/lib64/libssl.so.10", "/usr/lib64/libssl.so.1.0.1e", "/usr/lib32/libssl.so.3",
    "/lib/i386-linux-gnu/i686/cmov/libcrypto.so.1.0.0", "/usr/lib/arm-linux-gnueabihf/neon/vfp/libssl.so.1.0.0",
    "/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libcrypto.so.3", "/lib64/sse2/libcrypto.so.6",
    "/opt/nss/libssl3.so", "/opt/x/libssl.so.3 (deleted)",
])
def test_what_is_the_distributions_or_stale_is_no_copy(tree, path):
    tree.process(20, path)
    assert tree.found().copies == ()


def test_no_more_than_fifty_copies_are_listed(tree):
    tree.process(20, *(f"/opt/{number:02}/libssl.so.3" for number in range(60)))
    assert len(tree.found().copies) == probe.COPIES
