"""probe.sh on nodes that were recorded as tests/record_proc.sh does, under every shell this machine has."""

import pytest

from generator.probe import Copy
from tests.proc_tree import LIBCRYPTO, LIBSSL, RECORDED, SHELLS, unpack

#: For each recording its stale processes: kind, service, user, library, command.
STALE = {
    "systemd": [
        ("init", None, "root", LIBCRYPTO, "/lib/systemd/systemd --system --log-target=console"),
        ("init", "systemd-journald", "root", LIBCRYPTO, "/lib/systemd/systemd-journald"),
        ("init", "systemd-logind", "root", LIBCRYPTO, "/lib/systemd/systemd-logind"),
        ("service", "ssh", "root", LIBCRYPTO, "sshd: /usr/sbin/sshd -D [listener] 0 of 200-200 startups"),
        ("service", "nginx", "root", LIBSSL, "nginx: master process /usr/sbin/nginx -g daemon on; master_process on;"),
        ("service", "nginx", "www-data", LIBSSL, "nginx: worker process"),
        ("service", "nginx", "www-data", LIBSSL, "nginx: worker process"),
        ("session", None, "root", LIBCRYPTO, "sshd: root@pts/0"),
    ],
    "sysv": [
        ("service", "ssh", "root", LIBCRYPTO, "sshd: /usr/sbin/sshd [listener] 0 of 200-200 startups"),
        ("service", "nginx", "root", LIBSSL, "nginx: master process /usr/sbin/nginx"),
        ("service", "nginx", "www-data", LIBSSL, "nginx: worker process"),
        ("service", "nginx", "www-data", LIBSSL, "nginx: worker process"),
        ("session", None, "root", LIBCRYPTO, "sshd: root@pts/0"),
        ("orphan", None, "root", LIBCRYPTO, f"perl /root/hold.pl {LIBCRYPTO}"),
        ("container", None, "root", LIBSSL, f"perl /root/hold.pl {LIBCRYPTO} {LIBSSL}"),
    ],
    "legacy": [
        ("service", "stunnel4", "root", "/usr/lib/x86_64-linux-gnu/libssl.so.1.0.0", "/usr/bin/perl /usr/bin/stunnel4"),
    ],
    "containers": [
        ("init", None, "root", LIBCRYPTO, "/lib/systemd/systemd --system --log-target=console"),
        ("init", "systemd-journald", "root", LIBCRYPTO, "/lib/systemd/systemd-journald"),
        ("init", "systemd-logind", "root", LIBCRYPTO, "/lib/systemd/systemd-logind"),
        ("service", "ssh", "root", LIBCRYPTO, "sshd: /usr/sbin/sshd -D [listener] 0 of 200-200 startups"),
        ("container", "4f66ad9a0b2e", "root", LIBSSL, f"perl /root/hold.pl {LIBCRYPTO} {LIBSSL}"),
        ("container", "my-box", "root", LIBCRYPTO, f"perl /root/hold.pl {LIBCRYPTO}"),
    ],
    "refreshed": [],
}
COPIES = {"refreshed": ["/opt/agent/embedded/lib/libcrypto.so.3", "/opt/agent/embedded/lib/libssl.so.3"]}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", STALE)
def test_a_recorded_node_is_read_as_it_was(tmp_path, name, shell):
    found = unpack(name, tmp_path).found(shell)
    said = [(each.kind, each.service, each.user, each.library, each.command) for each in found.stale]
    assert sorted(said, key=str) == sorted(STALE[name], key=str)
    assert [copy.path for copy in found.copies] == COPIES.get(name, [])
    assert found.unread == 0
    booted = int((tmp_path / "proc/stat").read_text().split()[1])
    assert all(booted < each.since < booted + 86_400 for each in found.stale)
    assert all(isinstance(copy, Copy) and copy.build is None for copy in found.copies)


def test_every_recording_is_tried_and_says_how_it_was_made():
    assert {path.stem for path in RECORDED.iterdir()} == set(STALE)
    for path in RECORDED.iterdir():
        first, second = path.read_text().splitlines()[:2]
        assert first.startswith(("# Debian ", "# The node of "))
        assert second == "# Recorded by tests/record_proc.sh."
