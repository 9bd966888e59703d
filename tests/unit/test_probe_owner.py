"""Whose a stale process is, where containers are about: probe_owner.sh on made-up nodes."""

import pytest

from tests.proc_tree import LIBCRYPTO, LIBSSL, SHELLS, Tree

STALE = f"{LIBCRYPTO} (deleted)"
ID = "4f66ad9a0b2e1c5d7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6"
POD = "pod0f8a1c2e-1111-2222-3333-444455556666"
SHORT = ID[:12]
#: Control groups as each runtime names them, with cgroupfs and with systemd, and what the container is called.
CONTAINERS = {
    f"/docker/{ID}": SHORT, f"/system.slice/docker-{ID}.scope": SHORT,
    f"/system.slice/docker-{ID}.scope/system.slice/ssh.service": SHORT,
    f"/docker/{ID}/docker/{'0' * 64}": SHORT,  # Docker in Docker: the machine's own is the outer one
    f"/docker/{ID}/user.slice/user-0.slice/session-1.scope": SHORT,
    f"/machine.slice/libpod-{ID}.scope/container": SHORT, f"/libpod_parent/libpod-{ID}": SHORT,
    f"/system.slice/web.service/libpod-payload-{ID}": SHORT,  # podman run --cgroups=split
    f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope": SHORT,
    f"/kubepods/burstable/{POD}/{ID}": SHORT,
    f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-{POD}.slice/cri-containerd-{ID}.scope": SHORT,
    f"/kubepods.slice/kubepods-{POD}.slice/crio-{ID}.scope": SHORT,
    f"/system.slice/containerd.service/kubepods-burstable-{POD}.slice:cri-containerd:{ID}": SHORT,
    "/lxc.payload.c1/system.slice/nginx.service": "c1", "/lxc/nginx": "nginx", "/lxc.payload/c2/init.scope": "c2",
    "/machine.slice/machine-my\\x2dbox.scope/system.slice/apache2.service": "my-box",
    "/machine.slice/systemd-nspawn@c1.service/payload/system.slice/nginx.service": "c1",
    "/docker/$(id)": None, "/docker/a b": None, f"/docker/{'x' * 90}": "x" * 12,
}


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("systemd", [True, False], ids=["systemd", "sysv"])
def test_a_process_in_a_container_is_no_service_of_the_machine(tree, shell, systemd):
    tree.script("nginx")
    if systemd:
        tree.systemd()
    for pid, group in enumerate(CONTAINERS, 40):
        tree.process(pid, STALE, group=group)
    found = tree.found(shell)
    assert found.counted == found.stale
    assert {each.kind for each in found.stale} == {"container"}
    assert {group: each.service for group, each in zip(CONTAINERS, found.stale, strict=True)} == CONTAINERS


@pytest.mark.parametrize(("group", "kind", "service"), [
    (f"/machine.slice/libpod-conmon-{ID}.scope", "orphan", None),
    ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", "orphan", None),
    ("/machine.slice/systemd-nspawn@c1.service/supervisor", "service", "systemd-nspawn@c1"),
    ("/system.slice/docker.service", "service", "docker"), ("/lxc.monitor.c1", "orphan", None),
    ("/system.slice/kubelet.service", "service", "kubelet"), ("/podx/nginx", "orphan", None),
])
def test_what_runs_containers_is_the_machines_own(tree, group, kind, service):
    tree.systemd()
    tree.process(40, STALE, group=group)
    assert tree.kinds() == {40: (kind, service)}


def test_a_machine_that_is_a_container_itself_has_its_own_services(tree):
    tree.systemd()
    tree.process(1, STALE, parent=0, name="systemd", group="/lxc/web1/init.scope")
    tree.process(40, STALE, group="/lxc/web1/system.slice/nginx.service")
    tree.process(41, STALE, group="/lxc/web1/user.slice/user-0.slice/session-1.scope")
    assert tree.kinds() == {1: ("init", None), 40: ("service", "nginx"), 41: ("session", None)}
    tree.process(42, STALE, group=f"/lxc/web1/docker/{ID}")
    tree.process(43, STALE, group="/lxc/web10/system.slice/nginx.service")
    assert tree.kinds()[42] == ("container", SHORT)
    assert tree.kinds()[43] == ("container", "web10")


def test_a_machine_that_is_a_container_itself_without_systemd(tree):
    tree.script("nginx")
    tree.process(1, parent=0, name="tini", group=f"/docker/{ID}")
    tree.process(40, STALE, group=f"/docker/{ID}")
    tree.process(41, STALE, group=f"/docker/{ID}/docker/{'0' * 64}")
    assert tree.kinds() == {40: ("service", "nginx"), 41: ("container", "0" * 12)}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_process_with_pids_of_its_own_is_in_some_container(tree, shell):
    tree.script("nginx")
    here = {"pid": 1, "mnt": 2}
    tree.process(1, parent=0, name="init", spaces=here)
    tree.process(40, STALE, spaces=here)
    tree.process(41, STALE, spaces={"pid": 7, "mnt": 8})
    tree.process(42, STALE, spaces={"pid": 1, "mnt": 8})  # ip-netns(8) gives mounts of their own, and the same root
    tree.process(43, STALE, spaces={"pid": 1, "mnt": 9})
    tree.process(44, STALE, name="ruby", command=("chef-client",), spaces={"pid": 7, "mnt": 8})
    for pid, target in {1: "/", 42: "/", 43: tree.root}.items():
        (tree.proc / str(pid) / "root").symlink_to(target)
    assert {each.pid: (each.kind, each.service) for each in tree.found(shell).stale} == {
        40: ("service", "nginx"), 41: ("container", None), 42: ("service", "nginx"), 43: ("container", None),
        44: ("container", None),
    }


def test_units_and_logins_may_have_pids_and_mounts_of_their_own(tree):
    tree.systemd()
    tree.process(1, parent=0, name="systemd", group="/init.scope", spaces={"pid": 1, "mnt": 2})
    other = {"pid": 7, "mnt": 8}
    tree.process(40, STALE, group="/system.slice/nginx.service", spaces=other)
    tree.process(41, STALE, group="/user.slice/user-1000.slice/session-3.scope", spaces=other)
    tree.process(42, STALE, group="/elsewhere", spaces=other)
    assert tree.kinds() == {40: ("service", "nginx"), 41: ("session", None), 42: ("container", None)}


def test_what_a_lingering_users_own_systemd_runs_is_that_users(tree):
    tree.systemd()
    tree.process(40, STALE, uid=1000, group="/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service")
    found = tree.found()
    assert [(each.kind, each.service) for each in found.stale] == [("session", None)]
    assert found.counted == ()


def test_chef_client_in_a_container_is_not_who_asks(tree):
    tree.process(70, f"{LIBSSL} (deleted)", name="ruby", command=("chef-client",), group=f"/docker/{ID}")
    assert tree.kinds() == {70: ("container", SHORT)}
    assert tree.kinds(PROBE_SELF="70") == {70: ("own", None)}
