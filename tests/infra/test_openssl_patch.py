"""Is a host patched, and does nothing there still run the old library?

    pytest tests/infra --hosts=ssh://web1,ssh://web2 --sudo --advisory CVE-2014-0160 --tls-port 443 --service nginx -rs

Every host needs its own scheme: in --hosts=ssh://web1,web2 the second would be reached by a library that trusts any
host key, and is refused. `invoke verify` and `invoke patch` run these very checks over their own connections, and so
does Test Kitchen (kitchen.yml). Nothing is changed on the host.
"""

import pytest

from generator import offers, versions


def test_packages_are_fixed(told, asked):
    """No installed package is below the advisory's fixed version; with --latest, below what the host's repositories
    offer, which nobody says has the fix. What no row speaks of is skipped: it is not proven.
    """
    if told.offered is not None:
        verdict = offers.verdict(told.packages, told.offered)
    else:
        verdict = versions.verdict(asked, told.platform, told.version, told.packages)
    if verdict.kind == "unknown":
        pytest.skip(verdict.reason)
    if verdict.kind == "vulnerable":
        pytest.fail(verdict.reason, pytrace=False)


def test_no_package_is_half_way(told):
    """dpkg has done with every package that the advisories are about: none was left unpacked and not configured."""
    if told.half_way:
        named = ", ".join(f"{name} is {state}" for name, state in told.half_way.items())
        pytest.fail(f"{named}, because dpkg was interrupted: `dpkg --configure -a` goes on with it", pytrace=False)


def test_no_service_runs_the_old_library(told, counted):
    """No service maps a library that was replaced under it: a reload is often not enough."""
    none_of(told, counted, "service", "restart it")


def test_init_does_not_run_the_old_library(told, counted):
    """Neither systemd itself nor its journald and logind do."""
    none_of(told, counted, "init", "systemctl daemon-reexec, restart systemd-journald and systemd-logind")


def test_no_container_runs_the_old_library(told, counted):
    """Nor does a process in a container, which no service of this host's own can mend."""
    none_of(told, counted, "container", "rebuild the container's image, or restart it")


def test_no_other_process_runs_the_old_library(told, counted):
    """Nor does a process that belongs to no service."""
    none_of(told, counted, "orphan", "end it, or reboot")


def test_no_login_runs_the_old_library(told, counted):
    """Nor does a login, which ends by itself: this is skipped where one does, and fails only with --strict-sessions."""
    none_of(told, counted, "session", "have them log in anew")


def test_no_reboot_is_owed(told, deeper):
    """Nothing is left that only a reboot changes: PID 1 that is no systemd, and what an advisory about a kernel or libc
    asks for.
    """
    owed = told.findings.owed(deeper)
    if owed:
        pytest.fail(f"only a reboot helps: {'; '.join(owed)}", pytrace=False)


def test_copies_that_no_package_mends_are_listed(told):
    """A process that maps a copy from outside the distribution's library directories is named, and not judged: this is
    skipped where there is one. Copies that are linked statically into a program are not seen.
    """
    copies = told.findings.copies
    if copies:
        named = ", ".join(f"{copy.path} ({copy.build or 'no version'}, pid {copy.pid})" for copy in copies[:10])
        more = f" and {len(copies) - 10} more" if len(copies) > 10 else ""
        pytest.skip(f"not the distribution's, see to them: {named}{more}")


def test_every_process_could_be_looked_into(told):
    """None is hidden from root by a user namespace or a security module: what is not seen is not called clean."""
    if told.findings.unread:
        pytest.fail(f"{told.findings.unread} processes could not be looked into: see why root may not", pytrace=False)


def test_no_service_died(told):
    """Every service the data names that ran when the library was replaced still does: none has failed since. One that
    was stopped, or had failed before, is nobody's fault here.
    """
    if told.dead:
        pytest.fail(f"{', '.join(told.dead)} failed: see its log, and start it", pytrace=False)


def test_services_run(serving, service):
    """A service that must run does, by its own service manager's word."""
    if service not in serving:
        pytest.fail(f"{service} does not run: see its log, and start it", pytrace=False)


def test_tls_is_answered(answering, tls_port, whose):
    """A TLS handshake is answered on the port, on whichever address something listens."""
    if tls_port not in answering:
        before = f", where {whose[tls_port]} did before" if whose[tls_port] else ""
        said = f"nothing answers a TLS handshake on port {tls_port}{before}: see whether its service runs"
        pytest.fail(said, pytrace=False)


def none_of(told, counted, kind: str, remedy: str) -> None:
    """Fail if a process of this kind is stale, or skip where its kind is only listed."""
    stale = [process for process in told.findings.stale if process.kind == kind]
    if stale:
        named = ", ".join(f"{process.service or process.command} (pid {process.pid})" for process in stale[:10])
        more = f" and {len(stale) - 10} more" if len(stale) > 10 else ""
        said = f"{named}{more} still run the old {stale[0].library}: {remedy}"
        pytest.fail(said, pytrace=False) if kind in counted else pytest.skip(said)
