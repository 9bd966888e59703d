"""One look at a node: really asked of a shell here, and never believed where it is not whole."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import look
from fleet.text import clean
from generator import advisory, offers, probe
from generator.errors import ProbeError

XZ = Path(__file__).parents[1] / "data/advisories/CVE-2024-3094.toml"
HEAD = "styptic-look 1\nuid\t0\nname\tweb1\nclient\t/usr/bin/chef-client\n"
PACKAGES = "package\tdpkg\tlibssl3\t3.0.15-1\tinstall ok installed\npackages\tdpkg\n"
STALE = "stale\t7\tservice\tnginx\troot\t/usr/lib/libssl.so.3\t1795564255\t\tnginx: master process\n"
WHOLE = HEAD + PACKAGES + "styptic-probe 3\n" + STALE + "unread\t2\nend\n"


def test_a_real_shell_gives_a_whole_answer():
    done = subprocess.run(["sh", "-s"], input=look.script(), capture_output=True, timeout=60, check=True)
    found = look.parse(done.stdout)
    assert found.uid == os.getuid()
    assert found.unread >= 0


@pytest.mark.parametrize(("kind", "graphical"), [("tty", False), ("x11", True), ("wayland", True)])
def test_a_session_is_asked_for_its_kind_and_not_the_fifo_by_which_logind_sees_its_end(tmp_path, kind, graphical):
    (tmp_path / "system").mkdir()
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions/1").write_text(f"UID=0\nTYPE={kind}\n")
    fifo = tmp_path / "sessions/1.ref"
    os.mkfifo(fifo)
    login = os.open(fifo, os.O_RDWR)  # as the session's own process holds it
    try:
        script = look.HEAD.replace("/run/systemd", str(tmp_path))
        done = subprocess.run(["sh", "-s"], input=script.encode(), capture_output=True, timeout=10, check=False)
    finally:
        os.close(login)
    assert (b"graphical\t\n" in done.stdout) is graphical


@pytest.mark.parametrize(("text", "name"), [
    ('node_name "web1"\n', "web1"), ("  node_name( 'web1' ) # x\n", "web1"), ("", None), ("# node_name 'x'\n", None),
    ('log_level :info\nnode_name "a"\nnode_name "b"\n', "a"),
])
def test_a_node_is_called_what_its_client_rb_says(tmp_path, text, name):
    (tmp_path / "client.rb").write_text(text)
    script = look.script().decode().replace("/etc/chef/client.rb", str(tmp_path / "client.rb"))
    done = subprocess.run(["sh", "-s"], input=script.encode(), capture_output=True, timeout=60, check=True)
    assert look.parse(done.stdout).name == name


def test_everything_is_read():
    found = look.parse(WHOLE.encode())
    assert (found.uid, found.name, found.client, found.unread) == (0, "web1", "/usr/bin/chef-client", 2)
    assert found.packages == {"libssl3": "3.0.15-1"}
    assert found.stale == ({
        "pid": 7, "kind": "service", "command": "nginx: master process", "service": "nginx",
        "library": "/usr/lib/libssl.so.3",
    },)
    assert found.counted == found.stale


def test_sessions_and_the_one_who_asks_do_not_count():
    lines = [STALE.replace("service\tnginx", f"{kind}\t") for kind in ("session", "own", "init", "container", "orphan")]
    answer = WHOLE.replace(STALE, "".join(lines))
    found = look.parse(answer.encode())
    assert [each["kind"] for each in found.stale] == ["session", "init", "container", "orphan"], "a login is listed"
    assert [each["kind"] for each in found.counted] == ["init", "container", "orphan"]


def test_what_counts_is_what_was_asked_for():
    answer = WHOLE.replace(STALE, STALE.replace("service\tnginx", "session\t")).encode()
    assert look.parse(answer).counted == ()
    assert [each["kind"] for each in look.parse(answer, kinds=probe.STRICT).counted] == ["session"]


def test_why_a_reboot_is_owed():
    answer = WHOLE.replace("unread", "reboot\tinit\tPID 1 is old\nreboot\tkernel\ta\x1b[31m\nunread").encode()
    assert look.owed(look.parse(answer), deeper=False) == ("PID 1 is old",)
    assert look.owed(look.parse(answer), deeper=True) == ("PID 1 is old", "a?[31m")


@pytest.mark.parametrize(("version", "graphical", "why"), [
    ("252", "", None),
    ("252", "graphical\t\n", "systemd-logind is not restarted while there is a graphical session: it would lose the "),
    ("219", "", "systemd-logind of systemd 219 is not restarted (it may be from 234 on): it would lose the devices"),
    ("", "", "systemd-logind of systemd of an unknown version is not restarted (it may be from 234 on): it would"),
    ("9" * 5000, "", "systemd-logind of systemd of an unknown version is not restarted"),
])
def test_a_logind_that_may_not_be_restarted_owes_a_reboot_as_the_recipe_says(version, graphical, why):
    logind = STALE.replace("service\tnginx", "init\tsystemd-logind")
    answer = WHOLE.replace("package\t", f"systemd\t{version}\n{graphical}package\t").replace(STALE, logind + STALE)
    owed = look.owed(look.parse(answer.encode()), deeper=False)
    assert owed == () if why is None else owed[0].startswith(why)
    assert look.owed(look.parse(answer.encode(), kinds=frozenset()), deeper=False) == ()
    assert look.owed(look.parse(answer.replace("systemd\t", "other\t").encode()), deeper=False) == ()


def test_the_advisories_say_which_packages_and_libraries_are_asked_for():
    xz = advisory.read(XZ)
    asked = look.script([xz, *advisory.load(["heartbleed"])])
    assert b"PROBE_LIBRARIES='libcrypto liblzma libssl'" in asked
    assert b" liblzma5 xz-utils " in asked
    answer = WHOLE.replace("packages\t", "package\tdpkg\tliblzma5\t5.6.1-1\tinstall ok installed\npackages\t").encode()
    assert look.parse(answer).packages == {"libssl3": "3.0.15-1"}
    assert look.parse(answer, [xz]).packages == {"liblzma5": "5.6.1-1"}
    assert look.parse(answer, [xz, *advisory.load(["heartbleed"])]).packages == {
        "libssl3": "3.0.15-1", "liblzma5": "5.6.1-1",
    }


def test_what_the_repositories_offer_is_asked_on_day_zero_alone():
    offered = "offer\tapt\tlibssl3:\noffer\tapt\t  Candidate: 3.0.16-1\nlists\t1000\t1060\n"
    answer = WHOLE.replace("styptic-probe", offered + "styptic-probe").encode()
    assert look.parse(answer).offered is None
    assert look.parse(answer, [advisory.latest()]).offered == offers.Offers({"libssl3": "3.0.16-1"}, 60)
    assert b"apt-cache policy" in look.script([advisory.latest()])
    assert b"apt-cache" not in look.script(advisory.load(["heartbleed"]))


def test_a_node_without_chef_client_says_none():
    assert look.parse(WHOLE.replace("client\t/usr/bin/chef-client\n", "").encode()).client is None


def test_what_stands_before_the_answer_is_passed_over():
    banner = "Welcome\nuid\t0\nname\tother\npackage\tdpkg\topenssl\t9\tinstall ok installed\n"
    assert look.parse((banner + WHOLE).encode()) == look.parse(WHOLE.encode())


@given(st.integers(0, len(WHOLE) - 2))
def test_an_answer_cut_short_is_never_believed(length):
    with pytest.raises(ProbeError):
        look.parse(WHOLE[:length].encode())


@given(st.binary(max_size=300))
def test_any_answer_is_read_or_refused(noise):
    for answer in (noise, HEAD.encode() + noise, HEAD.encode() + PACKAGES.encode() + b"styptic-probe 3\n" + noise):
        with pytest.raises(ProbeError) as caught:
            look.parse(answer)
        assert clean(str(caught.value), 2000) == str(caught.value)


@pytest.mark.parametrize("uid", ["", "root", "9" * 5000])
def test_a_user_that_is_no_number_is_refused(uid):
    with pytest.raises(ProbeError, match="did not say who we are there"):
        look.parse(WHOLE.replace("uid\t0", f"uid\t{uid}").encode())


def test_a_hostile_command_name_is_cleaned():
    answer = WHOLE.replace("nginx: master process", "\x1b]0;root\x07" + "x" * 10_000)
    (process,) = look.parse(answer.encode()).stale
    assert process["command"].startswith("?]0;root?xxx")
    assert len(process["command"]) == 300


def test_stale_processes_are_named_in_a_few_words_and_a_container_is_told_from_a_service():
    lines = [STALE, STALE.replace("\t7\t", "\t8\t")]
    lines += [STALE.replace("7\tservice", "9\tcontainer"), STALE.replace("7\tservice\tnginx", "10\torphan\t")]
    found = look.parse(WHOLE.replace(STALE, "".join(lines)).encode())
    assert look.named(found.stale) == "nginx, container nginx, nginx: master process (pid 10)"
    assert look.named([{**found.stale[0], "service": f"s{number}"} for number in range(7)]).endswith("s4 and 2 more")
