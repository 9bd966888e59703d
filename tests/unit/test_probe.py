"""probe.sh on made-up /proc trees, under every shell this machine has; on real deleted libraries; and its answers."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator import probe
from generator.errors import ProbeError
from generator.shell import quote
from tests.proc_tree import LIBCRYPTO, LIBSSL, SHELLS, Tree


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_what_a_shell_prints_is_the_same_everywhere(tree, shell):
    tree.systemd()
    nginx = "/system.slice/nginx.service"
    tree.process(1, f"{LIBCRYPTO} (deleted)", parent=0, name="systemd", command=("/sbin/init",), group="/init.scope")
    tree.process(20, f"{LIBCRYPTO} (deleted)", f"{LIBSSL} (deleted)", command=("nginx:", "master"), group=nginx)
    tree.process(21, LIBSSL, parent=20, group=nginx)
    tree.process(22, f"{LIBCRYPTO} (deleted)", parent=20, command=("nginx:", "wörker"), group=nginx, uid=33)
    found = tree.found(shell)
    assert found.unread == 0
    assert [(each.pid, each.kind, each.service, each.user, each.library, each.command) for each in found.stale] == [
        (1, "init", None, "root", LIBCRYPTO, "/sbin/init"),
        (20, "service", "nginx", "root", LIBSSL, "nginx: master"),
        (22, "service", "nginx", "www-data", LIBCRYPTO, "nginx: w??rker"),
    ]
    assert [each.pid for each in found.counted] == [1, 20, 22]


@pytest.mark.parametrize("path", [
    LIBSSL,  # not deleted
    "/memfd:libssl.so.3 (deleted)", "/SYSV00000000 (deleted)", "/dev/shm/libssl.so.3 (deleted)",
    "/tmp/libcrypto.so.3 (deleted)", "/var/tmp/libssl.so.3 (deleted)",
    "/usr/lib/libssl3.so (deleted)",  # NSS has a library of that name
    "/usr/lib/libsslx.so.3 (deleted)", "/usr/lib/mylibssl.so.3 (deleted)", "/usr/lib/libssl.conf (deleted)",
])
def test_what_is_no_deleted_openssl_is_not_counted(tree, path):
    tree.process(20, path)
    assert tree.found().stale == ()


@pytest.mark.parametrize("path", [
    "/usr/lib64/libssl.so.1.0.1e", "/lib/x86_64-linux-gnu/libcrypto.so.1.0.0", "/usr/lib64/libssl.so.1.0.1e;53455a1e",
    "/opt/x/libs/libssl-60250955.so.1.0.0", "/opt/with space/libcrypto.so.1.1",
])
def test_names_that_the_library_has_had_are_found(tree, path):
    tree.process(20, f"{path} (deleted)")
    assert [each.library for each in tree.found().stale] == [path]


def test_the_advisorys_own_libraries(tree):
    tree.process(20, "/usr/lib/liblzma.so.5.4.1 (deleted)")
    tree.process(21, f"{LIBSSL} (deleted)")
    assert list(tree.kinds(PROBE_LIBRARIES="liblzma")) == [20]
    done = subprocess.run(["sh", "-s"], input=probe.command(["lib;id"]), text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    with pytest.raises(ProbeError):
        probe.parse(done.stdout)


def test_who_owns_a_process_under_systemd(tree):
    tree.systemd()
    stale = f"{LIBCRYPTO} (deleted)"
    groups = {
        30: "/system.slice/nginx.service", 31: "/system.slice/system-postgresql.slice/postgresql@15-main.service",
        32: "/system.slice/systemd-journald.service", 33: "/system.slice/systemd-logind.service",
        34: "/user.slice/user-1000.slice/session-3.scope",
        35: "/user.slice/user-1000.slice/user@1000.service/init.scope",
        36: "/system.slice/docker-0123.scope", 37: "/", 38: "/system.slice/a b.service",
    }
    for pid, group in groups.items():
        tree.process(pid, stale, group=group)
    assert tree.kinds() == {
        30: ("service", "nginx"), 31: ("service", "postgresql@15-main"), 32: ("init", "systemd-journald"),
        33: ("init", "systemd-logind"), 34: ("session", None), 35: ("session", None), 36: ("container", "0123"),
        37: ("orphan", None), 38: ("orphan", None),
    }


def test_nothing_a_user_says_makes_their_process_a_service_or_no_finding(tree):
    stale = f"{LIBSSL} (deleted)"
    tree.script("nginx", "DAEMON=/usr/sbin/nginx\n")
    (tree.root / "run/lock").mkdir()
    (tree.root / "run/lock/nginx.pid").write_text("63\n")
    os.chown(tree.root / "run/lock/nginx.pid", 65534, 65534)
    (tree.root / "run/held.pid").write_text("64\n")
    (tree.root / "run/nginx.pid").symlink_to("held.pid")
    tree.process(60, stale, name="nginx", uid=1000)
    tree.process(61, stale, name="x", command=("/usr/sbin/nginx",), uid=65534)
    tree.process(62, stale, name="sshd-session", uid=1000)
    tree.process(63, stale, name="x", command=("x",), uid=0)
    tree.process(64, stale, name="x", command=("x",), uid=0)
    tree.process(65, stale, name="x", command=("x", "chef-client"), uid=1000)
    tree.process(66, stale, name="x", command=("x", "-y", "/chef-client"), uid=0)
    assert set(tree.kinds().values()) == {("orphan", None)}


@pytest.mark.parametrize("shell", SHELLS)
def test_an_endless_command_line_costs_no_time(tree, shell):
    tree.process(60, f"{LIBSSL} (deleted)", name="x", command=("",) * 2_000_000)
    tree.process(61, f"{LIBSSL} (deleted)", name="x", command=("y" * 2_000_000,))
    started = time.monotonic()
    found = tree.found(shell)
    assert time.monotonic() - started < 5
    assert [each.command for each in found.stale] == ["[x]", "y" * 300]


def test_too_many_to_list_are_counted_and_not_called_clean(tree):
    for pid in range(1000, 1520):
        tree.process(pid, f"{LIBSSL} (deleted)", name="x")
    found = tree.found()
    assert (len(found.stale), found.unread) == (500, 20)


def test_a_machine_with_more_processes_than_a_command_line_holds(tree):
    for pid in range(2000, 5000):
        (tree.proc / str(pid)).mkdir()
        (tree.proc / str(pid) / "maps").write_text("")
    tree.process(1999, f"{LIBSSL} (deleted)", name="x")
    setting = f"ulimit -s 256; PROC_ROOT={quote(str(tree.proc))}; export PROC_ROOT\n"
    done = subprocess.run(["sh", "-s"], input=setting + probe.command(), text=True, capture_output=True, check=True)
    assert [each.pid for each in probe.parse(done.stdout).stale] == [1999]


def test_a_probe_that_cannot_look_gives_no_answer(tree, tmp_path):
    tree.process(20, f"{LIBSSL} (deleted)")
    for tool in ("dd", "sed", "sort", "tr", "xargs"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    setting = {"PATH": str(tmp_path / "bin"), "PROC_ROOT": str(tree.proc)}
    done = subprocess.run(
        ["/bin/sh", "-s"], input=probe.command(), text=True, capture_output=True, check=False, env=setting
    )
    assert (done.returncode, done.stdout) == (2, "")


def test_logins_are_sessions_and_their_listener_is_a_service(tree):
    stale = f"{LIBCRYPTO} (deleted)"
    tree.script("ssh", "DAEMON=/usr/sbin/sshd\n")
    tree.process(40, stale, name="sshd", command=("/usr/sbin/sshd", "-D"))
    tree.process(41, stale, name="sshd", parent=40)
    tree.process(42, stale, name="bash", parent=41)
    tree.process(43, stale, name="sshd-session", parent=40)
    tree.process(44, stale, name="evil) S 41 (", parent=42)
    assert tree.kinds() == {
        40: ("service", "ssh"), 41: ("session", None), 42: ("session", None), 43: ("session", None),
        44: ("session", None),
    }
    # Who asks is nobody's service, from the shell up to the listener, which is one.
    own = tree.kinds(PROBE_SELF="42")
    assert [own[pid][0] for pid in (40, 41, 42, 43)] == ["service", "own", "own", "session"]


@pytest.mark.parametrize("connection", ["sshd", "sshd-session"])
def test_a_listener_below_a_supervisor_is_not_of_who_asks(tree, connection):
    stale = f"{LIBCRYPTO} (deleted)"
    tree.process(38, name="runsvdir")
    tree.process(39, name="runsv", parent=38)
    tree.process(40, stale, name="sshd", parent=39)
    tree.process(41, stale, name=connection, parent=40)
    tree.process(42, stale, name=connection, parent=41, uid=1000)
    tree.process(43, stale, name="sh", parent=42, uid=1000)
    own = tree.kinds(PROBE_SELF="43")
    assert [own[pid][0] for pid in (40, 41, 42, 43)] == ["orphan", "own", "own", "own"]


def test_who_owns_a_process_without_systemd(tree):
    stale = f"{LIBSSL} (deleted)"
    group = "/system.slice/of-the-machine-around.service"
    tree.script("nginx")
    tree.script("stunnel4", "PIDFILE=/run/tunnel.pid\n")
    tree.script("exim4", "DAEMON=/usr/sbin/exim4\n")
    tree.script("other", "")
    (tree.root / "run/tunnel.pid").write_text("52\n")
    tree.process(50, stale, group=group)
    tree.process(51, stale, parent=50, name="x", group=group)
    tree.process(52, stale, name="perl", command=("/usr/bin/perl", "x"), group=group)
    tree.process(53, stale, name="exim", command=("/usr/sbin/exim4", "-bd"), group=group)
    tree.process(54, stale, name="../passwd", command=("java",), group=group)
    assert tree.kinds() == {
        50: ("service", "nginx"), 51: ("service", "nginx"), 52: ("service", "stunnel4"), 53: ("service", "exim4"),
        54: ("orphan", None),
    }


def test_a_program_that_two_scripts_name_belongs_to_neither(tree):
    for name in ("one", "two"):
        tree.script(name, "DAEMON=/usr/bin/java\n")
    tree.process(60, f"{LIBSSL} (deleted)", name="java", command=("/usr/bin/java", "-jar"))
    assert tree.kinds() == {60: ("orphan", None)}


@pytest.mark.parametrize("command", [("ruby", "/usr/bin/chef-client", "-o"), ("/opt/cinc/bin/cinc-client",)])
def test_chef_client_itself_is_not_counted(tree, command):
    tree.process(70, f"{LIBCRYPTO} (deleted)", name="ruby", command=command)
    assert tree.kinds() == {70: ("own", None)}
    assert tree.found().counted == ()


@pytest.mark.parametrize("shell", SHELLS)
def test_nothing_a_process_says_of_itself_becomes_shell_or_a_second_line(tree, shell, tmp_path):
    evil = "$(touch pwned)`touch pwned`\n\tstale\t1\tservice\t\x1b[31m; touch pwned"
    tree.process(80, f"{LIBSSL} (deleted)", name="$(touch pwned)", command=(evil,))
    tree.process(81, f"{LIBSSL} (deleted)", name="*", command=())
    found = tree.found(shell)
    assert [each.pid for each in found.stale] == [80, 81]
    assert found.stale[0].command == "$(touch pwned)`touch pwned`??stale?1?service??[31m; touch pwned"
    assert found.stale[1].command == "[*]"
    assert not (tmp_path / "pwned").exists()
    assert not Path("pwned").exists()


ASKED = "print('held', flush=True); input()"
FIRST_THREAD_ENDS = f"""
import threading
def go_on():
    while "State:\\tZ" not in open("/proc/self/status").read():
        pass
    {ASKED}
    os._exit(0)
threading.Thread(target=go_on).start()
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.parametrize("program", [ASKED, FIRST_THREAD_ENDS], ids=["whole", "its first thread has ended"])
def test_a_really_deleted_library_of_a_real_process(program):
    """The copy stands in the user's home for a moment, because what lies in /tmp does not count."""
    source = next(Path("/usr/lib").glob("*/libcrypto.so.*"), None) or next(Path("/usr/lib64").glob("libcrypto.so.*"))
    place = Path(tempfile.mkdtemp(prefix=".styptic-test-", dir=Path.home()))
    copy = place / source.name
    program = f"import ctypes, os, sys; ctypes.CDLL(sys.argv[1]); os.unlink(sys.argv[1])\n{program}"
    shutil.copy(source, copy)
    try:
        command = [sys.executable, "-c", program, copy]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout.readline() == b"held\n"
            asked = subprocess.run(["sh", "-s"], input=probe.command(), text=True, capture_output=True, check=True)
            holder.communicate(b"\n")
            assert holder.returncode == 0
    finally:
        shutil.rmtree(place)
    mine = [each for each in probe.parse(asked.stdout).stale if each.pid == holder.pid]
    assert [each.library for each in mine] == [str(copy)]


RECORDER = Path(__file__).parents[1] / "record_proc.sh"
BUILD = "OpenSSL 3.0.20 7 Apr 2026, built on: Sat Jun  6 19:56:20 2026 UTC"
GOOD = (
    f"styptic-probe 3\nstale\t7\tservice\tnginx\troot\t/lib/libssl.so.3\t1795564255\t{BUILD}\tnginx\n"
    f"stale\t8\tcontainer\t\troot\t/lib/libssl.so.3\t\t\tx\nown-copy\t9\t/opt/x/libssl.so.3\t{BUILD}\n"
    "reboot\tkernel\tkernel 1 runs\nunread\t0\nend\n"
)


def test_a_whole_answer():
    found = probe.parse("a banner\n" + GOOD)
    assert found.stale == (
        probe.Process(7, "service", "nginx", "nginx", "/lib/libssl.so.3", "root", 1795564255, BUILD),
        probe.Process(8, "container", "x", None, "/lib/libssl.so.3", "root", None, None),
    )
    assert found.copies == (probe.Copy(9, "/opt/x/libssl.so.3", BUILD),)
    assert found.reboots == (probe.Reboot("kernel", "kernel 1 runs"),)
    assert found.counted == found.stale, "a container's process keeps a node from being good"


@pytest.mark.parametrize("answer", [
    "", "end\n", GOOD.replace("end\n", ""), GOOD.replace("unread\t0\n", ""), GOOD.replace("probe 3", "probe 2"),
    GOOD.replace("service", "saint"), GOOD.replace("\troot", ""), GOOD.replace("unread", "noise\nunread"),
    GOOD.replace("\t7\t", f"\t{'7' * 5000}\t"), GOOD.replace("unread\t0", f"unread\t{'9' * 5000}"),
    GOOD.replace("unread", f"more\t{'9' * 5000}\nunread"), GOOD.replace("1795564255", "soon"),
    GOOD.replace("1795564255", "9" * 5000), GOOD.replace("OpenSSL", "\x1b[31m"), GOOD.replace("\t/lib", "\tlib"),
    GOOD.replace("reboot\tkernel", "reboot\tmood"), GOOD.replace("\tkernel 1 runs", ""),
    GOOD.replace("own-copy\t9", "own-copy\tx"), GOOD.replace("own-copy\t9\t", "own-copy\t9\t1\t"),
    GOOD.replace("unread", "own-copy\t9\t/opt/x/libssl.so.3\t\n" * 50 + "unread"),
])
def test_half_an_answer_is_never_clean(answer):
    with pytest.raises(ProbeError):
        probe.parse(answer)


@given(st.integers(0, len(GOOD) - 2))
def test_an_answer_cut_anywhere_is_never_clean(at):
    with pytest.raises(ProbeError):
        probe.parse(GOOD[:at])


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck here")
def test_shellcheck_is_content():
    for script in (probe.text(), RECORDER.read_text()):
        done = subprocess.run(
            ["shellcheck", "-s", "sh", "-"], input=script, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_the_probe_is_one_program_and_each_of_its_files_is_short():
    parts = sorted(probe.SCRIPT.parent.glob("probe*.sh"))
    assert len(parts) > 1
    assert "#include" not in probe.text()
    assert all(part.read_text().strip() in probe.text() for part in parts if part != probe.SCRIPT)
    assert all(len(part.read_text().splitlines()) < 300 for part in parts)
