"""The proof of a node: real pytest in real processes. What stands in for the SSH connection (tested in test_ssh.py)
runs the commands on this machine, or answers as a node would that cannot exist here: one with a stale service, say.
"""

import asyncio
import os
import shlex
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from fleet import verify
from fleet.errors import NodeError, NodeTimeoutError
from fleet.node import Node
from fleet.served import Served
from fleet.ssh import Answer
from fleet.verify import Verifier
from generator import advisory

XZ = Path(verify.ROOT / "tests/data/advisories/CVE-2024-3094.toml")
NODE = Node("web1,--hosts=evil", "production", "192.0.2.1")
HEARTBLEED = SimpleNamespace(path=Path(verify.ROOT / "generator/advisories/CVE-2014-0160.toml"), latest=False)


class Here:
    """Runs commands on this machine."""

    async def run(self, argv, *, stdin=b"", **_):
        child = await asyncio.create_subprocess_exec(
            *argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        stdout, stderr = await child.communicate(stdin)
        return Answer(child.returncode, stdout, stderr, False)


class Saying:
    """Answers as a node would that said this."""

    def __init__(self, answer: str | bytes | Exception, truncated: bool = False):
        self.answer = answer.encode() if isinstance(answer, str) else answer
        self.truncated = truncated

    async def run(self, argv, **_):
        if isinstance(self.answer, Exception):
            raise self.answer
        return Answer(0, self.answer, b"", self.truncated)


def said(
    *lines: str, uid=0, os_release="debian\t7", packages=("openssl\t1.0.1e-2+deb7u5",), manager="dpkg", stale=()
) -> str:
    """What a node answers the checks with."""
    return "\n".join([
        "styptic-check 1", f"uid\t{uid}", "clock\t1000000", "up\t5000.5", f"os\t{os_release}",
        *(f"package\t{manager}\t{package}\tinstall ok installed" for package in packages), f"packages\t{manager}",
        *lines,
        "styptic-probe 3", *(f"stale\t{each}" for each in stale), "unread\t0", "end", "",
    ])


def proven(connection, tls=(), services=(), advisories=(HEARTBLEED,), strict=False, whose=()):
    """The checks of one node by name."""

    async def proving():
        async with Verifier(advisories, strict) as verifier:
            return await verifier.prove(NODE, connection, Served(tuple(tls), tuple(services), tuple(whose)))

    checks = asyncio.run(proving(), debug=True)
    found = {check.name: check for check in checks}
    assert len(found) == len(checks)
    return found


def failed(checks):
    return {name: check.message for name, check in checks.items() if check.outcome == "failed"}


def test_this_machine_is_asked_and_nothing_reaches_the_terminal(capfd):
    connection = Here()
    checks = proven(connection)
    assert set(checks) == {
        "packages_are_fixed[CVE-2014-0160]", "no_package_is_half_way",
        "no_service_runs_the_old_library", "init_does_not_run_the_old_library",
        "no_login_runs_the_old_library", "no_reboot_is_owed",
        "no_container_runs_the_old_library", "no_other_process_runs_the_old_library", "no_service_died",
        "copies_that_no_package_mends_are_listed", "every_process_could_be_looked_into",
        "tls_is_answered[none]", "services_run[none]",
    }
    assert checks["tls_is_answered[none]"].outcome == checks["services_run[none]"].outcome == "skipped"
    assert {check.outcome for check in checks.values()} <= {"passed", "failed", "skipped"}
    assert capfd.readouterr() == ("", "")


def test_a_patched_node_passes():
    checks = proven(Saying(said()))
    assert failed(checks) == {}
    assert [name for name, check in checks.items() if check.outcome == "skipped"] == [
        "services_run[none]", "tls_is_answered[none]",
    ]


def test_a_package_that_dpkg_has_not_done_with_is_named_with_what_goes_on_with_it():
    half = said().replace("install ok installed", "install ok unpacked")
    assert failed(proven(Saying(half))) == {
        "no_package_is_half_way":
            "openssl is unpacked, because dpkg was interrupted: `dpkg --configure -a` goes on with it"
    }


def test_processes_that_root_may_not_see_are_not_called_clean():
    messages = failed(proven(Saying(said().replace("unread\t0", "unread\t3"))))
    assert list(messages) == ["every_process_could_be_looked_into"]
    assert messages["every_process_could_be_looked_into"].startswith("3 processes could not be looked into")


def test_a_vulnerable_node_fails_by_its_rows_own_words():
    checks = proven(Saying(said(packages=("openssl\t1.0.1e-2+deb7u4", "libssl-doc\t1"))))
    assert list(failed(checks)) == ["packages_are_fixed[CVE-2014-0160]"]
    assert "openssl 1.0.1e-2+deb7u4 is below 1.0.1e-2+deb7u5" in failed(checks)["packages_are_fixed[CVE-2014-0160]"]


def test_what_no_advisory_speaks_of_is_skipped_with_the_reason():
    checks = proven(Saying(said(os_release="haiku\t1")))
    check = checks["packages_are_fixed[CVE-2014-0160]"]
    assert check.outcome == "skipped"
    assert "haiku" in check.message


def test_another_librarys_advisory_asks_for_its_packages_on_a_debian_that_is_not_released_yet():
    for version, outcome in (("5.6.1-1", "failed"), ("5.6.1+really5.4.5-1", "passed")):
        node = said("debian\ttrixie/sid", os_release="debian\t", packages=(f"liblzma5\t{version}", "openssl\t1.0.1e-1"))
        check = proven(Saying(node), advisories=[advisory.read(XZ)])["packages_are_fixed[CVE-2024-3094]"]
        assert check.outcome == outcome, check.message


@pytest.mark.parametrize(("candidate", "age", "outcome"), [
    ("1.0.1e-2+deb7u5", 60, "passed"), ("1.0.1e-2+deb7u6", 60, "failed"), ("1.0.1e-2+deb7u5", 10**6, "skipped"),
])
def test_on_day_zero_a_package_has_to_be_the_newest_on_offer(candidate, age, outcome):
    node = said("offer\tapt\topenssl:", f"offer\tapt\t  Candidate: {candidate}", f"lists\t1000000\t{1000000 + age}")
    checks = proven(Saying(node), advisories=[advisory.latest()])
    assert checks["packages_are_fixed[latest]"].outcome == outcome, checks


def test_a_red_hat_is_known_by_its_release_file():
    package = "openssl\t(none):1.0.1e-16.el6_5.4"
    node = said("redhat\tCentOS release 6.5 (Final)", os_release="\t", packages=(package,), manager="rpm")
    assert "1.0.1e-16.el6_5.7" in failed(proven(Saying(node)))["packages_are_fixed[CVE-2014-0160]"]


def test_a_stale_process_fails_by_its_kind():
    library = "/usr/lib/libssl.so.3"
    stale = [
        f"7\tservice\tnginx\troot\t{library}\t1795564255\t\tnginx: master", f"1\tinit\t\troot\t{library}\t\t\tsystemd",
        f"9\torphan\t\tbob\t{library}\t\t\tnode \x1b[31mx.js --password=S", f"8\tsession\t\tbob\t{library}\t\t\t-bash",
        f"6\town\t\troot\t{library}\t\t\tsh -s", f"5\tcontainer\t4f66ad9a0b2e\troot\t{library}\t\t\tnginx",
    ]
    messages = failed(proven(Saying(said(stale=stale))))
    assert messages["no_service_runs_the_old_library"] == f"nginx (pid 7) still run the old {library}: restart it"
    assert "pid 1" in messages["init_does_not_run_the_old_library"]
    assert "x.js --password=[redacted] (pid 9)" in messages["no_other_process_runs_the_old_library"]
    assert messages["no_container_runs_the_old_library"] == (
        f"4f66ad9a0b2e (pid 5) still run the old {library}: rebuild the container's image, or restart it"
    )
    assert len(messages) == 4, "logins and who asks are nobody's fault"


def test_a_login_is_listed_and_fails_its_node_only_if_told_to():
    connection = Saying(said(stale=["5\tsession\t\troot\t/lib/libssl.so.3\t\t\t(sd-pam)"]))
    name, sentence = "no_login_runs_the_old_library", "(sd-pam) (pid 5) still run the old /lib/libssl.so.3: have"
    lenient = proven(connection)
    assert (lenient[name].outcome, failed(lenient)) == ("skipped", {})
    assert lenient[name].message.startswith(sentence)
    assert failed(proven(connection, strict=True))[name].startswith(sentence)


def test_a_reboot_that_is_owed_fails_its_node():
    lines = "reboot\tinit\tPID 1 is old\nreboot\tasked\tthe node says so\n"
    messages = failed(proven(Saying(said().replace("unread\t0", f"{lines}unread\t0"))))
    assert messages == {"no_reboot_is_owed": "only a reboot helps: PID 1 is old"}


def test_copies_that_no_package_mends_are_listed_and_not_judged():
    told = {"a": "OpenSSL 3.0.1", "b": ""}
    lines = "".join(f"own-copy\t9\t/opt/{name}/libssl.so.3\t{text}\n" for name, text in told.items())
    checks = proven(Saying(said().replace("unread\t0", f"{lines}unread\t0")))
    check = checks["copies_that_no_package_mends_are_listed"]
    assert check.outcome == "skipped"
    assert "/opt/a/libssl.so.3 (OpenSSL 3.0.1, pid 9), /opt/b/libssl.so.3 (no version, pid 9)" in check.message
    assert failed(checks) == {}


@pytest.mark.parametrize(("entered", "installed", "dead"), [
    (4_990_000_000, 999_980, True), (4_000_000_000, 999_980, False), (4_990_000_000, None, True),
])
def test_a_service_counts_as_dead_if_it_failed_after_the_upgrade(entered, installed, dead):
    """The node is up for 5000.5 s at 1000000: it booted at 994999.5."""
    lines = [f"installed\t{installed}"] if installed else []
    lines += ["unit\tId=nginx.service", "unit\tActiveState=failed", f"unit\tInactiveEnterTimestampMonotonic={entered}",
              "unit\t", "unit\tId=apache2.service", "unit\tActiveState=inactive"]
    assert ("no_service_died" in failed(proven(Saying(said(*lines))))) is dead


@pytest.mark.parametrize(("status", "dead"), [(0, False), (1, True), (3, False), (127, False)])
def test_an_init_script_says_whether_its_service_died(status, dead):
    messages = failed(proven(Saying(said(f"script\tstunnel4\t{status}"))))
    assert messages == ({"no_service_died": "stunnel4 failed: see its log, and start it"} if dead else {})


def test_a_login_that_is_not_roots_proves_nothing():
    messages = failed(proven(Saying(said(uid=1000))))
    assert len(messages) == 11
    assert all("give --sudo" in message for message in messages.values())


@pytest.mark.parametrize("answer", [
    b"", b"\xff\x00\x1b]0;x\x07", said().replace("\nend\n", "\n").encode(), said("clock\tlate").encode(),
    said("unit\tInactiveEnterTimestampMonotonic=never").encode(), said().replace("packages\tdpkg\n", "").encode(),
])
def test_an_answer_that_is_not_whole_is_no_pass(answer):
    checks = proven(Saying(answer))
    assert all(check.outcome != "passed" for check in checks.values())
    assert failed(checks)


def test_too_much_of_an_answer_is_an_error():
    with pytest.raises(NodeError, match="printed more than"):
        proven(Saying(said(), truncated=True))


def test_a_connection_that_breaks_is_its_own_sentence():
    with pytest.raises(NodeError, match=r"^the connection broke\.$"):
        proven(Saying(NodeError("the connection broke.")))


def test_tls_is_asked_on_the_ports_that_answered_before():
    class Answering(Saying):
        async def run(self, argv, **options):
            if "TLS_PORTS" in argv[2]:
                assert shlex.split(argv[2])[2].startswith("TLS_PORTS='443 8443'\n")
                return Answer(0, b"styptic-tls 3\ntls\t127.0.0.1\t443\t*\tnginx\nend\n", b"", False)
            return await super().run(argv, **options)

    checks = proven(Answering(said()), (8443, 443))
    assert checks["tls_is_answered[443]"].outcome == "passed"
    assert failed(checks) == {"tls_is_answered[8443]": "nothing answers a TLS handshake on port 8443: see whether its "
                              "service runs"}
    checks = proven(Answering(said()), (8443, 443), whose=[(8443, "stunnel4")])
    assert failed(checks)["tls_is_answered[8443]"].startswith(
        "nothing answers a TLS handshake on port 8443, where stunnel4 did before: see"
    )


def test_services_that_ran_before_must_run():
    class Serving(Saying):
        async def run(self, argv, **options):
            if "styptic-running" in argv[-1]:
                return Answer(0, b"styptic-running 1\nrunning\tnginx\nend\n", b"", False)
            return await super().run(argv, **options)

    checks = proven(Serving(said()), services=["nginx", "haproxy"])
    assert checks["services_run[nginx]"].outcome == "passed"
    assert failed(checks) == {"services_run[haproxy]": "haproxy does not run: see its log, and start it"}


def test_where_no_check_could_run_nothing_is_proven(tmp_path):
    with pytest.raises(NodeError, match=r"its checks could not run: pytest ended with 4: .*nowhere\.toml"):
        proven(Saying(said()), advisories=[SimpleNamespace(path=tmp_path / "nowhere.toml", latest=False)])


def test_a_run_of_skips_alone_is_no_pass(monkeypatch):
    async def skipping(self, job, connection, sudo):
        return [verify.Check("packages_are_fixed", "skipped")]

    monkeypatch.setattr(verify.Worker, "prove", skipping)  # the checks as they are always run one
    with pytest.raises(NodeError, match="not one check ran"):
        proven(Saying(said()))


def test_what_a_user_set_for_pytest_is_not_for_these(monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-flag")
    assert failed(proven(Saying(said()))) == {}


def test_few_processes_serve_all_nodes():
    async def proving():
        async with Verifier([HEARTBLEED]) as verifier:
            first = await asyncio.gather(*(verifier.prove(NODE, Saying(said())) for _ in range(6)))
            before = {worker.process.pid for worker in verifier.idle}
            await verifier.prove(NODE, Saying(said()))
            assert {worker.process.pid for worker in verifier.idle} == before
            workers = list(verifier.idle)
        return first, workers

    first, workers = asyncio.run(proving())
    assert len(first) == 6
    assert all(checks == first[0] for checks in first)
    assert 1 <= len(workers) <= min(verify.WORKERS, 2 * os.cpu_count())
    assert all(worker.process.returncode == -signal.SIGKILL for worker in workers)


def test_a_process_that_dies_fails_its_node_alone():
    class Killing(Saying):
        async def run(self, argv, **options):
            os.kill(self.verifier_pid(), signal.SIGKILL)
            return await super().run(argv, **options)

    async def proving():
        async with Verifier([HEARTBLEED]) as verifier:
            await verifier.prove(NODE, Saying(said()))
            (worker,) = verifier.idle
            killing = Killing(said())
            killing.verifier_pid = lambda: worker.process.pid
            with pytest.raises(NodeError, match=r"the process that ran its checks (died|failed)"):
                await verifier.prove(NODE, killing)
            return await verifier.prove(NODE, Saying(said()))

    assert len(asyncio.run(proving(), debug=True)) == 13


class Hanging:
    """Never answers."""

    def __init__(self):
        self.asked = asyncio.Event()

    async def run(self, argv, **_):
        self.asked.set()
        await asyncio.Event().wait()


def test_checks_that_hang_fail_their_node_alone(monkeypatch):
    async def proving():
        async with Verifier([HEARTBLEED]) as verifier:
            await verifier.prove(NODE, Saying(said()))
            monkeypatch.setattr(verify, "SECONDS", 0.2)
            with pytest.raises(NodeTimeoutError, match=r"did not end within 0\.2 s"):
                await verifier.prove(NODE, Hanging())
            monkeypatch.setattr(verify, "SECONDS", 60)
            return await verifier.prove(NODE, Saying(said()))

    assert len(asyncio.run(proving(), debug=True)) == 13


def test_an_interrupted_proof_leaves_no_process():
    async def proving():
        async with Verifier([HEARTBLEED]) as verifier:
            await verifier.prove(NODE, Saying(said()))
            (worker,) = verifier.idle
            hanging = Hanging()
            task = asyncio.create_task(verifier.prove(NODE, hanging))
            await hanging.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert verifier.idle == []
            return worker.process.returncode

    assert asyncio.run(proving(), debug=True) == -signal.SIGKILL
