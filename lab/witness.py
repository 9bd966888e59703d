"""What a test asks a lab node about its services: who runs, who is stale, what a converge did. Root, past SSH."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from generator import probe
from generator.shell import join
from lab import rhel
from lab.host import LabError
from lab.lab import Lab

#: The lists that result.json has of what was done to services.
ACTIONS = ("reloaded", "upgraded", "restarted")


@dataclass(frozen=True, slots=True)
class Family:
    """How a distribution does what the tests want of it.

    `upgrade` is a shell command that upgrades OpenSSL and nothing more, `libraries` a pattern of its directory;
    `masters` has the PID file of each service by Debian's name for it, `names` those that have another name here.
    """

    upgrade: str
    libraries: str
    masters: Mapping[str, str]
    names: Mapping[str, str]


DEBIAN = Family(
    "apt-get -qq update; apt-get -qqy install openssl libssl3", "/usr/lib/*-linux-gnu",
    {
        "nginx": "/run/nginx.pid", "apache2": "/run/apache2/apache2.pid", "haproxy": "/run/haproxy.pid",
        "stunnel4": "/run/stunnel4/lab.pid", "postgresql": "/run/postgresql/15-main.pid", "ssh": "/run/sshd.pid",
    },
    {},
)
RED_HAT = Family(
    "dnf -qy upgrade openssl", "/usr/lib64", {**DEBIAN.masters, "apache2": "/run/httpd/httpd.pid"}, rhel.NAMES,
)

# Another file in each library's place, so that whoever maps the one before is stale once more.
REPLACE = r"""
for name in libssl.so.3 libcrypto.so.3; do
    file=$(echo DIRECTORY/$name)
    cp -p $file $file.new
    echo . >>$file.new
    mv $file.new $file
done
"""


class Witness:
    """A node of the lab that is up."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab, self.name = lab, name
        self.address = lab.node(name).address
        self.family = RED_HAT if lab.node(name).base == "rhel" else DEBIAN

    def sh(self, script: str) -> str:
        """Run a shell script, which must succeed; return what it printed. Raises LabError with its complaint."""
        done = self.lab.exec(self.name, ["sh", "-ec", script], capture_output=True, text=True)
        if done.returncode:
            said = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-20:])
            raise LabError(f"{self.name}: a script ended with {done.returncode}: {said}")
        return done.stdout

    def until(self, script: str) -> None:
        """Wait until a shell command succeeds, for at most 20 seconds. Raises LabError if it does not."""
        self.sh(join(["timeout", "20", "sh", "-c", f"until {script}; do sleep 0.1; done"]))

    def named(self, service: str) -> str:
        """Return what a service is called here, by Debian's name for it."""
        return self.family.names.get(service, service)

    def masters(self) -> dict[str, str]:
        """Return the main process of each service that has one, by its name here."""
        files = {self.named(service): file for service, file in self.family.masters.items()}
        script = "; ".join(f"! test -s {file} || echo {name} $(head -n 1 {file})" for name, file in files.items())
        return dict(line.split() for line in self.sh(script).splitlines())

    def children(self, master: str) -> set[str]:
        """Return the PIDs of a process's children."""
        return set(self.sh(f"pgrep -P {master} || true").split())

    def stale(self) -> dict[str, list[str]]:
        """Return the PIDs of stale processes by service, an instance by its template; without one, by their user."""
        found = {}
        for each in probe.parse(self.sh("set +e\n" + probe.command())).counted:
            name = (each.service or each.user).partition("@")[0]
            found.setdefault({"postgres": "postgresql"}.get(name, name), []).append(str(each.pid))
        return found

    def upgrade(self) -> None:
        """Upgrade OpenSSL, and nothing more."""
        self.sh(self.family.upgrade)

    def replace(self) -> None:
        """Put other files in the place of OpenSSL's libraries, which do the same."""
        self.sh(REPLACE.replace("DIRECTORY", self.family.libraries))

    def converge(self) -> tuple[str, dict]:
        """Run chef-client; return what it printed and the recipe's result. Raises LabError where the run fails."""
        said = self.sh("chef-client --once --no-color -o 'recipe[openssl_patch]'")
        return said, json.loads(self.sh("cat /var/lib/openssl_patch/result.json"))
