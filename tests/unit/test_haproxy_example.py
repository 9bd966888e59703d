"""The example for HAProxy at moments that a real one cannot be held in: a server stands in for its runtime API, as far
as the scripts ask it. A real one is asked in tests/lab/test_hooks.py."""

import re
import socketserver
import subprocess
import threading

import pytest

from fleet.hooks import CHECKOUT

HEADER = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state\n"


class Asked(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.server.answer(self.rfile.readline().decode().strip()).encode())


class Balancer(socketserver.ThreadingTCPServer):
    """A backend `web` whose servers are name to address; `admin` has their states, `looked` hears of each look."""

    daemon_threads = True

    def __init__(self, servers):
        super().__init__(("127.0.0.1", 0), Asked)
        self.servers, self.admin = servers, dict.fromkeys(servers, 0)
        self.looked = lambda: None

    def answer(self, question: str) -> str:
        if drained := re.fullmatch(r"set server web/(\S+) state drain", question):
            self.admin[drained[1]] = 8
            return "\n"
        if question.startswith("show stat"):
            return "# pxname,svname,qcur,scur\n" + "".join(f"web,{name},0,0\n" for name in self.servers)
        said = HEADER + "".join(
            f"3 web {number} {name} {address} 2 {self.admin[name]} 1\n"
            for number, (name, address) in enumerate(self.servers.items(), 1)
        )
        self.looked()
        return said


@pytest.fixture
def balancer():
    """Return a function that starts a Balancer of these servers."""
    started = []

    def start(**servers) -> Balancer:
        started.append(Balancer(servers))
        threading.Thread(target=started[-1].serve_forever, args=(0.02,)).start()
        return started[-1]

    yield start
    for each in started:
        each.shutdown()
        each.server_close()


def drain(there: Balancer, name: str, address: str) -> subprocess.Popen:
    words = [CHECKOUT / "examples/haproxy/drain.sh", f"127.0.0.1:{there.server_address[1]}", "web"]
    return subprocess.Popen([*words, name, address], stdout=subprocess.PIPE, text=True)


def ended(*drains: subprocess.Popen) -> list[tuple[int, str]]:
    said = [each.communicate(timeout=30)[0].strip() for each in drains]
    return [(each.returncode, line) for each, line in zip(drains, said, strict=True)]


def test_of_two_drains_at_once_one_finds_that_it_is_the_last(balancer):
    there = balancer(web1="192.0.2.1", web2="192.0.2.2")
    both = threading.Barrier(2, timeout=2)  # which they pass together if they look at the same moment

    def looked():
        try:
            both.wait()
        except threading.BrokenBarrierError:
            return

    there.looked = looked
    found = sorted(ended(drain(there, "web1", "192.0.2.1"), drain(there, "web2", "192.0.2.2")))
    assert [code for code, _ in found] == [0, 1]
    assert found[1][1].endswith("is the last of web that answers; it stays in")
    assert sorted(there.admin.values()) == [0, 8]


@pytest.mark.parametrize(("name", "address", "drained"), [
    ("web1", "192.0.2.9", "web1"), ("elsewhere", "192.0.2.2", "web2"), ("1e1", "", None),
    ("elsewhere", "192.0.2.7", None),
])
def test_a_server_is_the_nodes_by_its_name_or_by_an_address_that_only_it_has(balancer, name, address, drained):
    servers = {"web1": "192.0.2.1", "web2": "192.0.2.2", "10": "192.0.2.3", "a": "192.0.2.7", "b": "192.0.2.7"}
    there = balancer(**servers)
    ((code, said),) = ended(drain(there, name, address))
    assert [each for each, state in there.admin.items() if state] == ([drained] if drained else [])
    assert code == (0 if drained else 1), said
    if not drained:
        assert said == f"the backend web has no server {name}, nor just one at {address}".rstrip()
