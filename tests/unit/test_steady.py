"""The client that counts lost requests counts what a real TLS server does to it."""

import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from lab.steady import Steady

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl here to make a certificate with")
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    place = tmp_path_factory.mktemp("steady")
    key, certificate = place / "key.pem", place / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", "/CN=lab", "-keyout", key, "-out", certificate]
    subprocess.run(make, check=True, capture_output=True)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    return made


@pytest.fixture
def server(context):
    """Start a server that gives each connection the next of these lists of answers, then closes it.

    The last list is for all further ones. None in a list is a connection that is cut without a word of TLS.
    """
    door = socket.create_server(("127.0.0.1", 0))

    def serve(plain, answers):
        with plain, context.wrap_socket(plain, server_side=True) as caller:
            for answer in answers:
                asked = b""
                while not asked.endswith(b"\r\n\r\n"):
                    if not (more := caller.recv(1000)):
                        return
                    asked += more
                if answer is None:
                    return
                caller.sendall(answer)

    def attend(connections):
        for number in range(10_000):
            try:
                plain, _ = door.accept()
            except OSError:
                return
            answers = connections[min(number, len(connections) - 1)]
            threading.Thread(target=quietly, args=(serve, plain, answers), daemon=True).start()

    def quietly(work, *arguments):
        try:
            work(*arguments)
        except OSError:
            return  # the client went first

    def start(*connections):
        # The first connection is the one by which the client sees that there is somebody.
        threading.Thread(target=attend, args=([[], *connections],), daemon=True).start()
        return door.getsockname()[1]

    yield start
    door.shutdown(socket.SHUT_RDWR)
    door.close()


def ask(port: int, requests: int):
    """Let one connection ask until so many requests are counted; return the count."""
    with Steady("127.0.0.1", port, connections=1, rate=200) as client:
        assert client.wait(requests)
    return client.count


def test_answers_over_one_connection(server):
    count = ask(server([GOOD] * 10_000), 20)
    assert count.asked == count.answered >= 20
    assert (count.again, count.failed) == (0, [])
    assert count.slowest > 0


def test_an_idle_connection_that_was_closed_is_asked_again_and_not_lost(server):
    count = ask(server([GOOD, GOOD], [GOOD] * 10_000), 10)
    assert count.asked == count.answered
    assert (count.again, count.failed) == (1, [])


def test_a_new_connection_that_is_closed_without_an_answer_is_a_loss(server):
    count = ask(server([GOOD, GOOD], [None], [GOOD] * 10_000), 10)
    assert count.asked == count.answered + 1
    assert len(count.failed) == 1
    assert count.again == 0


def test_an_answer_that_is_cut_is_a_loss(server):
    count = ask(server([GOOD, GOOD[:-1]], [GOOD] * 10_000), 10)
    assert [reason.partition(":")[0] for reason in count.failed] == ["IncompleteRead"]


def test_an_error_of_the_server_is_a_loss(server):
    refused = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    count = ask(server([GOOD, refused], [GOOD] * 10_000), 10)
    assert count.failed == ["HTTPException: status 503"]


def test_nobody_there_is_said_at_once():
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with pytest.raises(ConnectionRefusedError), Steady("127.0.0.1", port):
        pass
