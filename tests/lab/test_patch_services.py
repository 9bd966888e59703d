"""What a patch does to services that are not the lab's own, to a node that owes a reboot, and through a jump host.

One rollout through a gateway. The services are init scripts around a Perl process that holds libssl: the recipe goes by
a service's name and by what its processes map, so `postgresql` and `stunnel4` here stand for the real ones by no more.
"""

import xml.etree.ElementTree as ET

import pytest

GATE, HOLDING, OWING = "svc-gate", "svc-holding", {"svc-owing35": 35, "svc-owing37": 37}
SERVICES = ("shopd", "postgresql", "stunnel4")
LOG = "/run/sshd-connections.log"

HOLDER = r"""cat >/root/holder.pl <<'PERL'
use DynaLoader;
DynaLoader::dl_load_file(DynaLoader::dl_findfile(glob('-L/usr/lib/*-linux-gnu'), 'libssl.so.3'), 0) or die;
$SIG{HUP} = 'IGNORE';
open(my $file, '>', "/run/$ARGV[0].new"); print $file $$; close $file;
rename "/run/$ARGV[0].new", "/run/$ARGV[0].up";
sleep 3600 while 1;
PERL
"""
INIT_SCRIPT = r"""cat >/etc/init.d/NAME <<'INIT'
#!/bin/sh
### BEGIN INIT INFO
# Provides:          NAME
# Required-Start:
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: NAME, for a test
### END INIT INFO
case $1 in
start)
    start-stop-daemon --start --background --make-pidfile --pidfile /run/NAME.pid --startas /usr/bin/perl -- \
        /root/holder.pl NAME
    until [ -s /run/NAME.up ]; do :; done ;;
stop) start-stop-daemon --stop --retry TERM/5/KILL/2 --pidfile /run/NAME.pid; rm -f /run/NAME.up ;;
reload) kill -HUP "$(cat /run/NAME.pid)" ;;
restart) $0 stop && $0 start ;;
status) kill -0 "$(cat /run/NAME.pid)" ;;
esac
INIT
chmod 755 /etc/init.d/NAME
service NAME start
"""
# Where needrestart's own hook stands: after the transaction, still within apt-get.
HOOK = r"""
printf '#!/bin/sh\necho "suspend=$NEEDRESTART_SUSPEND" >>/run/hook\n' >/root/hook
chmod 755 /root/hook
echo 'DPkg::Post-Invoke { "/root/hook"; };' >/etc/apt/apt.conf.d/99hook
"""
# Does the work and then tells what a run that owes a reboot tells.
OWES = r"""
client=$(command -v chef-client); real=$(readlink -f "$client")
rm "$client"
printf '#!/bin/sh\n%s "$@" || exit\nexit %s\n' "$real" CODE >"$client"
chmod 755 "$client"
"""


def pids(operator) -> dict[str, str]:
    """Return the process id of each service that still runs."""
    alive = 'for name in {}; do pid=$(cat /run/$name.pid); kill -0 $pid; echo $name $pid; done'
    return dict(line.split() for line in operator.sh(HOLDING, alive.format(" ".join(SERVICES))).splitlines())


@pytest.fixture(scope="module")
def patched(operator):
    """Make the nodes, patch them through the gateway, and take them away again."""
    operator.environment("svc")
    for name in (HOLDING, *OWING):
        operator.lab.add(name, environment="svc")
    operator.lab.add(GATE, environment="_default")
    operator.sh(HOLDING, HOLDER + HOOK + "".join(INIT_SCRIPT.replace("NAME", name) for name in SERVICES))
    operator.sh(HOLDING, f"echo 'SSHD_OPTS=\"-E {LOG} -o LogLevel=VERBOSE\"' >/etc/default/ssh; service ssh restart")
    for name, code in OWING.items():
        operator.sh(name, OWES.replace("CODE", str(code)))
    operator.indexed(HOLDING, *OWING)
    before = pids(operator)
    done, nodes = operator.patch("--env", "svc", "-G", GATE)
    yield {"done": done, "nodes": nodes, "before": before, "after": pids(operator)}
    for name in (HOLDING, *OWING, GATE):
        operator.lab.remove(name)
    operator.chef.delete("/environments/svc")


def test_every_connection_came_through_the_gateway(operator, patched):
    assert set(patched["nodes"]) == {HOLDING, *OWING}
    accepted = operator.sh(HOLDING, f"sed -n 's/^Accepted publickey for root from \\([^ ]*\\) .*/\\1/p' {LOG}").split()
    assert accepted == [operator.lab.nodes[GATE].address] * 2, "one to converge, a fresh one for the proof"


@pytest.mark.parametrize("name", ["shopd", "postgresql"])
def test_a_service_that_may_not_be_restarted_keeps_running_and_its_command_is_told(patched, operator, name):
    done, node = patched["done"], patched["nodes"][HOLDING]
    assert done.returncode == 2, done.stdout + done.stderr
    assert patched["after"][name] == patched["before"][name]
    assert node["state"] == "stale", node["error"]
    stale = {(each["service"], str(each["pid"])) for each in node["stale_after"] if each["kind"] == "service"}
    assert (name, patched["before"][name]) in stale
    assert name in node["error"]
    todo = next(line for line in done.stdout.splitlines() if line.startswith("    to do: ") and "restart" in line)
    assert f"service {name} restart" in todo
    suites = ET.parse(operator.home / "report" / "junit.xml").getroot()  # noqa: S314 - our own file
    said = {suite.get("name"): suite.find("testcase/failure") for suite in suites}[HOLDING].text
    assert f"service {name} restart" in said


def test_a_service_that_the_data_knows_is_restarted_beside_them(patched):
    node = patched["nodes"][HOLDING]
    assert patched["after"]["stunnel4"] != patched["before"]["stunnel4"]
    assert "restarted stunnel4" in node["actions"]
    assert {each["service"] for each in node["stale_after"] if each["kind"] == "service"} == {"shopd", "postgresql"}


def test_needrestart_is_suspended_for_the_transaction_and_not_in_what_is_restarted(operator, patched):
    assert patched["done"].returncode == 2
    assert set(operator.sh(HOLDING, "cat /run/hook").split()) == {"suspend=1"}
    environment = operator.sh(HOLDING, f"tr '\\0' '\\n' </proc/{patched['after']['stunnel4']}/environ")
    assert "PATH=" in environment
    assert "NEEDRESTART" not in environment


@pytest.mark.parametrize("name", OWING)
def test_a_node_whose_chef_client_wants_a_reboot_is_patched_and_owes_it(operator, patched, name):
    node = patched["nodes"][name]
    assert node["state"] == "reboot_required", node["error"]
    assert node["packages_before"] != node["packages_after"]
    assert f"  {', '.join(OWING)} (reboot_required): only a reboot helps: chef-client says so" in patched["done"].stdout
