"""The Invoke tasks of this room: `collection` holds lab.up and its siblings; and `demo`."""

from invoke import Collection

from fleet.cli import verb

NODE = "Name of a node, as lab.status lists it"


@verb(help={"nodes": "Light nodes (sshd alone) to have in production beside the usual four"})
def up(context, nodes=0):
    """
    Bring up a Chef server and nodes on this machine.

    invoke lab.up
    invoke lab.up --nodes 6

    goiardi with authentication on; in production web1 (nginx, under systemd), web2 (nginx, sysv init) and legacy1
    (Debian 7-like); in staging staging1. The checkout's .chef leads to its settings while it is up, so that `invoke
    patch --env production` and knife talk to it. Needs root; the first time it builds the nodes' root file systems.
    """
    from lab.lab import Lab

    show(Lab.up(more=nodes))


@verb(help={})
def status(context):
    """
    Show the lab that is up: its nodes, whether they are on, their OpenSSL.

    invoke lab.status
    """
    from lab.lab import Lab

    show(Lab.current())


@verb(help={"node": NODE, "command": "Shell command to run there in place of a login"})
def ssh(context, node=None, command=None):
    """
    Log in to a node of the lab as root, or run a command there.

    invoke lab.ssh --node web1
    invoke lab.ssh --node web1 --command 'dpkg-query --show openssl'

    Exits with the command's own code, or 255 when ssh(1) failed.
    """
    import shutil
    import subprocess

    from lab.host import RUN, LabError
    from lab.lab import Lab

    name = named(Lab.current(), node).name
    if not shutil.which("ssh"):
        raise LabError("there is no ssh program here: install the Debian package openssh-client.")
    # "--" ends ssh's own options: a command may start with a dash.
    words = ["ssh", "-F", str(RUN / "ssh_config"), name, *(["--", command] if command else [])]
    return subprocess.run(words, check=False).returncode


@verb(help={"node": NODE})
def reset(context, node=None):
    """
    Make a node of the lab new again, by dropping its overlay.

    invoke lab.reset --node web1
    """
    from lab.lab import Lab

    lab = Lab.current()
    lab.reset(named(lab, node).name)


@verb(help={"node": NODE})
def off(context, node=None):
    """
    Cut the power of a node of the lab; its disk stays as it is at that moment.

    invoke lab.off --node web1

    Nothing on the node is told, and no connection to it is ended. invoke lab.on boots it again. A node that was halted
    from inside is off, too; one that was rebooted comes up by itself.
    """
    from lab.lab import Lab

    lab = Lab.current()
    lab.power_off(named(lab, node).name)


@verb(help={"node": NODE})
def on(context, node=None):
    """
    Boot a node of the lab that is off, with the disk it had, and wait until it answers.

    invoke lab.on --node web1
    """
    from lab.lab import Lab

    lab = Lab.current()
    lab.power_on(named(lab, node).name)


@verb(help={"node": NODE})
def unplug(context, node=None):
    """
    Pull the network cable of a node of the lab, which runs on.

    invoke lab.unplug --node web1
    """
    from lab.lab import Lab

    lab = Lab.current()
    lab.unplug(named(lab, node).name)


@verb(help={"node": NODE})
def plug(context, node=None):
    """
    Plug the network cable of a node of the lab in again.

    invoke lab.plug --node web1
    """
    from lab.lab import Lab

    lab = Lab.current()
    lab.plug(named(lab, node).name)


@verb(help={
    "name": "Its name",
    "base": "light (sshd alone), web (and nginx), full (and every service of the data), legacy (Debian 7-like), rhel "
            "(CentOS 6-like) or managed (web, with what Ansible and Salt need); docs/lab.md tells of each",
    "init": "systemd or sysv", "environment": "Its Chef environment; one that is not there is made",
})
def add(context, name=None, base="light", init="sysv", environment="production"):
    """
    Add a node to the lab and register it on the Chef server.

    invoke lab.add --name web3 --base web --init systemd
    invoke lab.add --name centos1 --base rhel
    """
    from lab import registry
    from lab.host import LabError
    from lab.lab import Lab

    if not name:
        raise LabError("say what to call the new node: --name web3, for instance.")
    lab = Lab.current()
    with registry.connect() as server:
        registry.environment(server, environment)
    node = lab.add(name, base=base, init=init, environment=environment)
    print(f"{node.name} answers on {node.address}")


@verb(help={"node": NODE})
def remove(context, node=None):
    """
    Take a node out of the lab and off the Chef server.

    invoke lab.remove --node web3
    """
    from lab.lab import Lab

    lab = Lab.current()
    lab.remove(named(lab, node).name)


@verb(help={})
def down(context):
    """
    End the lab, or clean up after one that was killed; leaves nothing but the cache of bases.

    invoke lab.down
    """
    from lab import lab

    print("the lab is down" if lab.down() else "no lab is up")


@verb(help={"keep": "Leave the lab up afterwards", "report": "Directory for report.json and junit.xml"})
def demo(context, keep=False, report=None):
    """
    Show the main job on a lab: it comes up, `invoke patch` patches production, the result is shown, it goes down.

    invoke demo
    invoke demo --keep --report /tmp/report
    """
    from lab import demo as show

    return show.run(report or show.REPORT, keep)


def named(lab, name):
    """Return a node by the name the user gave. Raises LabError, naming those there are, for none or a wrong one."""
    from lab.host import LabError

    if not name:
        raise LabError(f"say which node: --node with one of {', '.join(sorted(lab.nodes))}.")
    return lab.node(name)


def show(lab) -> None:
    """Print the lab's nodes and how to use it."""
    from lab import goiardi, status

    for line in status.table(lab):
        print(line)
    print(f"Chef server {goiardi.URL}; settings for knife in {lab.chef_dir}; advisory {lab.advisory}")


collection = Collection("lab", up, status, ssh, add, reset, off, on, unplug, plug, remove, down)
