"""What a converge costs those who ask a service meanwhile, on nodes: python benchmarks/dropped_requests.py

On a node under sysv init and one under systemd, clients with kept-alive TLS connections ask each service at a steady
rate while the recipe patches OpenSSL; then once more while nginx and haproxy are restarted, which the recipe does not
do, to compare. Uses the lab that is up, or brings one up and takes it down. The first time it builds the nodes' base.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fleet import push
from fleet.chef import config
from generator import advisory
from lab import full, registry
from lab.host import LabError
from lab.lab import Lab
from lab.steady import Count, Steady

CONNECTIONS, RATE = 5, 20
ENVIRONMENT = "benchmark"
DONE = {"reloaded": "reload", "upgraded": "upgrade in place", "restarted": "restart"}
ROW = "{:9} {:8} {:28} {:>6} {:>9} {:>6} {:>7} {:>9}"


def main() -> None:
    """Print a line for each service and init."""
    print(f"{CONNECTIONS} connections to each service, each asking {RATE} times a second.")
    print("again: the service had closed the idle connection, and answered over a new one (RFC 9112, 9.3.1).")
    print("slowest: the longest answer.\n")
    print(ROW.format("service", "init", "what was done", "asked", "answered", "again", "failed", "slowest"), flush=True)
    with lab_up() as lab, pushed():
        for init in ("systemd", "sysv"):
            name = f"benchmark-{init}"
            lab.add(name, base="full", init=init, environment=ENVIRONMENT)
            try:
                measure(lab, name, init)
            finally:
                lab.remove(name)


def measure(lab: Lab, name: str, init: str) -> None:
    """Converge a node while all its services are asked; then restart those that were not."""
    address = lab.node(name).address
    with contextlib.ExitStack() as stack:
        clients = {service: stack.enter_context(Steady(address, port, CONNECTIONS, RATE))
                   for service, port in full.TLS.items()}
        run(lab, name, "chef-client --once --no-color -o 'recipe[openssl_patch]'")
    result = json.loads(run(lab, name, "cat /var/lib/openssl_patch/result.json"))
    for service, client in clients.items():
        done = [word for key, word in DONE.items() if service in result[key]]
        tell(service, init, "patch: " + ", ".join(done), client.count)
    for service in ("nginx", "haproxy"):
        with Steady(address, full.TLS[service], CONNECTIONS, RATE) as client:
            run(lab, name, f"service {service} restart")
        tell(service, init, "a restart, to compare", client.count)


def tell(service: str, init: str, done: str, count: Count) -> None:
    """Print one line, and why requests failed below it."""
    print(ROW.format(service, init, done, count.asked, count.answered, count.again, len(count.failed),
                     f"{count.slowest * 1000:.0f} ms"), flush=True)
    for reason in sorted(set(count.failed)):
        print(f"          {count.failed.count(reason)} x {reason}", flush=True)


def run(lab: Lab, name: str, script: str) -> str:
    """Run a shell script on a node; return what it printed. Raises LabError if it fails."""
    done = lab.exec(name, ["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise LabError(f"{script.split()[0]} failed on {name}: {done.stdout[-500:]}")
    return done.stdout


@contextlib.contextmanager
def lab_up() -> Iterator[Lab]:
    """Give the lab that is up, or one that lives as long as this."""
    try:
        lab = Lab.current()
    except LabError:
        lab = Lab.up()
        try:
            yield lab
        finally:
            lab.down()
    else:
        yield lab


@contextlib.contextmanager
def pushed() -> Iterator[None]:
    """Upload the cookbook as it is now, and have an environment whose nodes get it and no other."""
    settings = config.load(cwd=registry.DIRECTORY, env={"KNIFE_HOME": str(registry.DIRECTORY), "HOME": "/nonexistent"})
    with registry.connect() as chef:
        done = push.push(chef, settings, advisory.load(["CVE-2014-0160"]), [], True)
        chef.post("/environments", {
            "name": ENVIRONMENT, "json_class": "Chef::Environment", "chef_type": "environment",
            "cookbook_versions": {push.COOKBOOK: f"= {done.version}"},
        })
        try:
            yield
        finally:
            chef.delete(f"/environments/{ENVIRONMENT}")


if __name__ == "__main__":
    main()
