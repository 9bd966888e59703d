"""A process of its own in which pytest runs tests/infra, node after node: `python -m fleet.proof_worker DESCRIPTOR`.

A job comes over the socket DESCRIPTOR as {"advisories": [paths], "latest": flag, "strict": flag, "tls": [listeners],
"services": [names]}; what goes back is {"checks": [[name, outcome, message], ...]} or {"error": sentence}. Importing
pytest and testinfra once costs more than many nodes.
"""

import contextlib
import io
import sys
from pathlib import Path

import pytest
import testinfra.backend

from fleet.testinfra_backend import Backend, Link

CHECKS = Path(__file__).parents[1] / "tests/infra"
HOST = "styptic://node"  # one node a job, so it needs no name; a node's own would be read as part of an address
# Nobody reads what pytest prints here, and what else it does by itself is for a suite of tests under development.
WITHOUT = (
    "cacheprovider", "terminal", "unraisableexception", "threadexception", "faulthandler", "doctest", "unittest",
    "junitxml", "logging", "stepwise", "debugging", "setuponly", "setupplan", "pastebin", "recwarn",
)
ROOT = CHECKS.parents[1]
ARGUMENTS = (
    str(CHECKS), f"--hosts={HOST}", f"--rootdir={ROOT}", "-c", str(ROOT / "pyproject.toml"), "--capture=no",
    "-p", "testinfra.plugin", *(word for name in WITHOUT for word in ("-p", f"no:{name}")),
)


class Collector:
    """A pytest plugin that keeps what each check came to."""

    def __init__(self):
        self.checks: list[list[str]] = []

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.checks.append([f"collecting {report.nodeid}", "failed", told(report)])

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            self.checks.append([name_of(report.nodeid), report.outcome, told(report)])


def name_of(nodeid: str) -> str:
    """Return a check's name without the file it stands in and the one host there is."""
    name = nodeid.rpartition("::")[2].replace(f"[{HOST}-", "[").replace(f"-{HOST}]", "]").replace(f"[{HOST}]", "")
    return name.removeprefix("test_")


def told(report) -> str:
    """Return what a failed or skipped check said."""
    said = report.longrepr
    if isinstance(said, tuple):  # a skip: file, line, reason
        return str(said[2]).removeprefix("Skipped: ")[:4000]
    crash = getattr(said, "reprcrash", None)
    return str(crash.message if crash else said or "").removeprefix("Failed: ")[:4000]


def prove(job: dict) -> dict:
    """Run the checks of one job and return the message that goes back."""
    collector = Collector()
    flags = {"advisory": job["advisories"], "tls-port": job["tls"], "service": job["services"]}
    chosen = [f"--{flag}={value}" for flag, values in flags.items() for value in values]
    chosen += ["--latest"] if job["latest"] else []
    chosen += ["--strict-sessions"] if job["strict"] else []
    with contextlib.redirect_stderr(io.StringIO()) as complaint:
        code = pytest.main([*ARGUMENTS, *chosen], plugins=[collector])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        said = " ".join(complaint.getvalue().split()) or "pytest gave no reason"
        return {"error": f"pytest ended with {int(code)}: {said[-1000:]}"}
    return {"checks": collector.checks}


def main(descriptor: int) -> None:
    """Take jobs until the rollout ends."""
    testinfra.backend.BACKENDS["styptic"] = "fleet.testinfra_backend.Backend"
    Backend.link = link = Link(descriptor)
    while (job := link.receive()) is not None:
        link.send(prove(job))


if __name__ == "__main__":
    main(int(sys.argv[1]))
