"""The demo: a fleet comes up, `invoke patch --env production` patches it, the result is shown, it goes down."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from generator.shell import join
from lab.host import ROOT, RUN
from lab.lab import FLEET, Lab

REPORT = "styptic-report"
PRODUCTION = tuple(name for name, _, _, environment in FLEET if environment == "production")


def run(report: str = REPORT, keep: bool = False) -> int:
    """Bring a lab up, patch its production environment, show what the report says, and take the lab down.

    `report` is the directory for report.json and junit.xml, relative to where the user stands; with `keep` the lab
    stays up. Returns patch's own exit code, or 1 if the report does not hold what the demo promises.
    """
    directory = Path(report).absolute()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a terminated demo takes its lab down as well
    lab = Lab.up()
    try:
        code = patch(lab, directory)
        if keep:
            say("The lab stays up: look with `invoke lab.status`, patch again, end it with `invoke lab.down`.")
        return code
    finally:
        if not keep:
            lab.down()


def patch(lab: Lab, directory: Path) -> int:
    """Run `invoke patch` as a user does, and show what its report holds; return the demo's exit code."""
    words = ["invoke", "patch", "--env", "production", "--advisory", str(lab.advisory), "--advisory", "CVE-2014-0160",
             "--yes", "--report", str(directory)]
    file = directory / "report.json"
    file.unlink(missing_ok=True)  # an older run's would be shown in the place of one that was not written
    staging = versions(lab, "staging1")
    say(f"$ {join(words)}")
    environment = {**os.environ, "KNIFE_HOME": str(lab.chef_dir), "STYPTIC_STATE": str(RUN / "journal.db")}
    code = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, env=environment, check=False).returncode
    if not file.exists():
        return code or 1
    found = json.loads(file.read_text())
    for line in told(found):
        say(line)
    if code:
        return code
    broken = list(kept_promises(found, untouched=versions(lab, "staging1") == staging))
    for promise in broken:
        say(f"the demo's promise does not hold: {promise}")
    return int(bool(broken))


def versions(lab: Lab, name: str) -> str:
    """Return a node's own list of its OpenSSL packages, asked past SSH and Chef."""
    query = ["dpkg-query", "--show", "openssl", "libssl*"]
    return lab.exec(name, query, check=True, capture_output=True, text=True).stdout


def told(report: dict) -> Iterator[str]:
    """Yield what a report says of each node, a line a fact."""
    for node in report["nodes"]:
        yield ""
        yield f"{node['name']}: {node['state']}"
        for package, after in sorted(node["packages_after"].items()):
            before = node["packages_before"].get(package)
            yield f"  {package} {before} -> {after}" if before != after else f"  {package} {after}"
        yield f"  stale after the upgrade: {people(node['stale_before'])}"
        for action in node["actions"]:
            yield f"  {action}"
        yield f"  stale at the end: {people(node['stale_after'])}"


def people(stale: list[dict]) -> str:
    """Return the stale processes of a report as a short phrase, services first, counted."""
    counts: dict[str, int] = {}
    for process in stale:
        label = process["service"] or process["kind"]
        counts[label] = counts.get(label, 0) + 1
    return ", ".join(f"{name} ({count})" if count > 1 else name for name, count in sorted(counts.items())) or "nothing"


def kept_promises(report: dict, untouched: bool) -> Iterator[str]:
    """Yield each promise of the demo that a report breaks; nothing when all hold.

    Every production node is in it, patched, had a stale service before and has no stale service or init process after;
    the staging node is not in the report and its packages (`untouched`) are what they were.
    """
    reported = {node["name"] for node in report["nodes"]}
    for name in PRODUCTION:
        if name not in reported:
            yield f"{name} is not in the report"
    for node in report["nodes"]:
        if node["environment"] != "production":
            yield f"{node['name']} of {node['environment']} was touched"
        if node["state"] != "patched":
            yield f"{node['name']} is {node['state']}"
        if not any(process["kind"] == "service" for process in node["stale_before"]):
            yield f"{node['name']} had no stale service before"
        if any(process["kind"] in ("service", "init") for process in node["stale_after"]):
            yield f"{node['name']} still runs the old library"
    if not untouched:
        yield "the staging node's packages changed"


def say(line: str) -> None:
    """Print a line at once, so that it stands in order with what patch prints."""
    print(line, flush=True)
