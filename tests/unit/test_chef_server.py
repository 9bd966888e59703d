"""Every way a Chef server can fail to answer is one sentence, of the right class, tried again only where that is safe.

The servers here are real HTTP servers that answer as told; a Chef server that speaks is in tests/lab.
"""

import contextlib
import json
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest

from fleet.chef import transport
from fleet.chef.compat import Key
from fleet.chef.config import ChefConfig
from fleet.chef.server import ChefServer
from fleet.chef.signing import sign
from fleet.errors import (
    AuthenticationError,
    ChefServerError,
    ConflictError,
    NotFoundError,
    ServerUnreachableError,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DATE = {"Content-Type": "application/json", "Date": "Fri, 02 Jan 2026 03:04:05 GMT"}


@pytest.fixture
def connect(pem):
    """Return a function that connects to a URL; the pauses between attempts are noted in `pauses` and not made."""
    opened = []

    def one(url: str, *, clock=lambda: NOW, timeout=(5.0, 5.0), key=pem, **settings) -> ChefServer:
        pauses = []
        server = ChefServer(ChefConfig(url, "ada", key, **settings), timeout=timeout, pause=pauses.append, clock=clock)
        server.pauses = pauses
        opened.append(server)
        return server

    yield one
    for server in opened:
        server.close()


def protocol_of(request) -> str:
    return request.headers["X-Ops-Sign"].partition("version=")[2].rstrip(";")


def sentence(error: Exception) -> str:
    """Return the message, which must be one line that a terminal can take."""
    said = str(error)
    assert said
    assert said.isprintable()
    return said


HTML = {**DATE, "Content-Type": "text/html"}
DEEP = b"[" * 100_000 + b"]" * 100_000
Failed = ChefServerError


@pytest.mark.parametrize(("status", "headers", "body", "kind", "said"), [
    (400, DATE, b'{"error":["bad query: 2 lines\\nof words"]}', Failed, "with 400: bad query: 2 lines of words"),
    (403, DATE, b'{"error":["missing read permission"]}', Failed, "does not allow 'ada' to GET /nodes: missing read"),
    (404, DATE, b'{"error":"Cannot load node web9"}', NotFoundError, "nothing at GET /nodes: Cannot load node web9"),
    (404, HTML, b"<html><h1>Oops</h1></html>", NotFoundError, "nothing at GET /nodes: Not Found"),
    (405, {}, b"", Failed, "405: Method Not Allowed"),
    (409, DATE, b'{"message":"is frozen"}', ConflictError, "is frozen"),
    (412, DATE, b'{"error":[{"message":"no such cookbook","x":[]}]}', Failed, "412: no such cookbook"),
    (413, DATE, b"null", Failed, "larger than the server takes"),
    (500, HTML, b"<html>\x1b[31mstack trace</html>", Failed, "failed at GET /nodes with 500: Internal Server Error"),
    (500, {}, b"\x1b[2Jb\xc3\xb6o\x07\xff", Failed, "500: ?[2Jböo?\ufffd"),
    (406, DATE, b'{"error":"invalid-x-ops-server-api-version"}', Failed, "406: invalid-x-ops-server-api-version"),
    (301, {"Location": "https://elsewhere.example/x"}, b"", Failed, "https://elsewhere.example/x"),
    (200, HTML, b"<html>Welcome to nginx!</html>", Failed, "check chef_server_url"),
    (200, DATE, b'"just words"', Failed, "check chef_server_url"),
    (200, DATE, b"", NotFoundError, "has nothing at GET /nodes"),
    (200, DATE, DEEP[:-1], Failed, "check chef_server_url"), (200, DATE, b'{"a":9', Failed, "check chef_server_url"),
    (500, DATE, DEEP, Failed, "failed at GET /nodes with 500: [[["), (406, DATE, DEEP, Failed, "406: [[["),
    (500, DATE, b'{"error":5}', Failed, "with 500: 5"), (500, DATE, b'{"error":[[],{"message":{}}]}', Failed, "[]; {}"),
    (500, {"Date": f"Fri, 02 Jan {'9' * 30} 03:04:05 GMT"}, b"no", Failed, "with 500: no"),
])
def test_a_refusal_is_one_sentence_in_the_servers_own_words(serve, answer, connect, status, headers, body, kind, said):
    server = serve(answer(status, body, headers))
    with pytest.raises(ChefServerError) as refused:
        connect(server.url).get("/nodes?secret=1")
    assert type(refused.value) is kind
    assert said in sentence(refused.value)
    assert server.url in str(refused.value)
    assert "secret" not in str(refused.value)
    assert refused.value.status == (status if status != 200 else None)
    assert len(server.requests) == 1


def test_a_server_without_environments_has_its_url_asked_about(serve, answer, connect):
    server = serve(answer(404, b"<html>Not Found</html>", HTML))
    with pytest.raises(NotFoundError, match=r"check chef_server_url, which ends in /organizations/NAME on most$"):
        connect(server.url).get("/environments")


def test_an_empty_answer_of_goiardi_under_an_organisation_says_so(serve, answer, connect):
    server = serve(answer(200, b"", {"X-Ops-API-Info": "flavor=goiardi;version=0.11.10"}))
    with pytest.raises(NotFoundError, match="goiardi has no organisations, so take /organizations"):
        connect(server.url + "/organizations/acme").get("/nodes")


def test_the_organisation_is_asked_and_signed(serve, answer, connect, pem):
    server = serve(answer(body=b"[]"))
    connect(server.url + "/organizations/acme/").get("/nodes?q=1")
    request = server.requests[0]
    assert request.path == "/organizations/acme/nodes?q=1"
    key, path = Key(pem.encode()), "/organizations/acme/nodes"
    wanted = sign(key, "ada", "GET", path, b"", protocol="1.3", api_version="1", now=NOW)
    assert wanted.items() <= request.headers.items()


def test_a_redirect_is_not_followed(serve, answer, connect):
    other = serve(answer())
    server = serve(answer(302, b"", {"Location": other.url}))
    with pytest.raises(ChefServerError, match=f"points to {other.url} for POST /search/node: set chef_server_url"):
        connect(server.url).post("/search/node", {})
    assert other.requests == []


SAFE = [
    ("GET", lambda chef: chef.get("/nodes")), ("PUT", lambda chef: chef.put("/nodes/a", {})),
    ("search", lambda chef: chef.post("/search/node?q=a", {})),
    ("solver", lambda chef: chef.post("/environments/a/cookbook_versions", {})),
    ("file", lambda chef: chef.put_file(chef.url + "/store", b"x", {})),
]
UNSAFE = [
    ("POST", lambda chef: chef.post("/sandboxes", {})), ("DELETE", lambda chef: chef.delete("/nodes/a")),
    ("single", lambda chef: chef.put("/sandboxes/a", {}, again=False)),
]


@pytest.mark.parametrize(("ask", "attempts"), [
    *(pytest.param(ask, 3, id=name) for name, ask in SAFE), *(pytest.param(ask, 1, id=name) for name, ask in UNSAFE),
])
@pytest.mark.parametrize("status", [0, 503, 429])
def test_tried_again_only_where_that_is_safe(serve, answer, connect, ask, attempts, status):
    server = serve(answer(status, b"", {}))
    chef = connect(server.url)
    with pytest.raises(ChefServerError) as failed:
        ask(chef)
    assert isinstance(failed.value, ServerUnreachableError) == (status == 0)
    assert len(server.requests) == attempts
    assert chef.pauses == [0.5, 1.5][: attempts - 1]
    if status == 0:
        assert "closed the connection without an answer" in sentence(failed.value)


def test_500_is_no_reason_to_try_again(serve, answer, connect):
    server = serve(answer(500))
    with pytest.raises(ChefServerError):
        connect(server.url).get("/nodes")
    assert len(server.requests) == 1


def test_every_attempt_is_signed_anew_and_the_server_says_how_long_to_wait(serve, answer, connect):
    moments = iter(NOW + timedelta(seconds=number) for number in range(100))
    busy = [answer(503, b"", {"Retry-After": seconds}) for seconds in ("7", "9" * 5000)]
    server = serve(*busy, answer(body=b'{"a": 1}'))
    chef = connect(server.url, clock=lambda: next(moments))
    assert chef.get("/nodes") == {"a": 1}
    assert chef.pauses == [7, 30]
    assert len({request.headers["X-Ops-Timestamp"] for request in server.requests}) == 3


def test_a_silent_server_is_given_up(serve, answer, connect):
    server = serve(answer(-1))
    with pytest.raises(ServerUnreachableError) as failed:
        connect(server.url, timeout=(5.0, 0.1)).post("/sandboxes", {})
    assert f"does not answer at {server.url}/sandboxes: no answer within 0.1 s" in sentence(failed.value)


@pytest.fixture
def dripping():
    """Return a server's URL and the event that ends it: it sends a byte of an answer that never ends, then another."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip(start: bytes):
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(start)
                while not over.wait(0.02):
                    connection.sendall(b"a")

        def begin(start: bytes) -> str:
            threads.append(threading.Thread(target=drip, args=(start,)))
            threads[-1].start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        threads: list[threading.Thread] = []
        yield begin
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n"])
def test_an_answer_that_comes_a_byte_at_a_time_is_given_up(dripping, connect, monkeypatch, start):
    monkeypatch.setattr(transport, "LONGEST", 0.3)
    chef = connect(dripping(start))
    with pytest.raises(ServerUnreachableError, match=r"no whole answer within 0\.3 s$"):
        chef.get("/nodes")
    assert chef.pauses == [], "and not asked for twice"


@pytest.mark.parametrize("status", [200, 302, 500])
def test_an_answer_has_a_bound(serve, answer, connect, monkeypatch, status):
    monkeypatch.setattr(transport, "BOUND", 100_000)
    headers = {**DATE, "Location": "https://elsewhere.example"}
    server = serve(*(answer(status, b"a" * size, headers) for size in (100_000, 100_001)))
    chef = connect(server.url)
    with pytest.raises(ChefServerError, match=r"check chef_server_url|points to|failed at"):
        chef.get("/nodes")
    with pytest.raises(ChefServerError, match="/nodes answered with more than 100000 bytes"):
        chef.get("/nodes")


def test_nobody_listening(connect):
    with socket.socket() as taken:  # bound and not listening: the port is nobody else's
        taken.bind(("127.0.0.1", 0))
        chef = connect(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ServerUnreachableError, match="Connection refused; check chef_server_url and the network"):
            chef.get("/nodes")
    assert chef.pauses == [0.5, 1.5]


def test_a_url_that_is_none_is_said_once(connect):
    chef = connect("http://a..b")
    with pytest.raises(ServerUnreachableError, match="not a usable URL"):
        chef.get("/nodes")
    assert chef.pauses == []


def test_the_file_stores_own_signature_stays_out_of_errors(serve, answer, connect):
    server = serve(answer(0))
    with pytest.raises(ServerUnreachableError) as failed:
        connect(server.url).put_file(server.url + "/bookshelf/x?Signature=s", b"x", {"Content-MD5": "m"})
    assert "Signature" not in str(failed.value)
    request = server.requests[0]
    assert (request.body, request.headers["Content-MD5"]) == (b"x", "m")
    assert not [name for name in request.headers if name.lower().startswith("x-ops")]


def test_a_clock_that_is_off_is_named_and_no_other_protocol_tried(serve, answer, connect):
    server = serve(answer(401, b'{"error":["Failed to authenticate"]}', DATE))
    for offset, said in ((3600, "our clock is 3600 s ahead of the server's"), (-1800, "1800 s behind the server's")):
        with pytest.raises(AuthenticationError) as refused:
            connect(server.url, clock=lambda offset=offset: NOW + timedelta(seconds=offset)).get("/nodes")
        assert said in sentence(refused.value)
        assert "Failed to authenticate" in str(refused.value)
    assert len(server.requests) == 2


@pytest.mark.parametrize("date", [{}, {"Date": "yesterday"}, {"Date": "Fri, 02 Jan 2026 03:04:05"}])
def test_a_wrong_key_is_refused_after_each_protocol_once(serve, answer, connect, long_pem, date):
    server = serve(answer(401, b'{"error":["Invalid signature for user or client \'ada\'"]}', {**DATE, **date}))
    chef = connect(server.url, key=long_pem)
    for _ in range(2):
        with pytest.raises(AuthenticationError) as refused:
            chef.get("/nodes")
        assert "check that node_name and client_key belong together" in sentence(refused.value)
        assert "Invalid signature for user or client 'ada'" in str(refused.value)
    assert [protocol_of(request) for request in server.requests] == ["1.3", "1.1", "1.0"] * 2


@pytest.mark.parametrize("known", ["1.1", "1.0"])
def test_an_older_protocol_is_found_and_remembered(serve, answer, connect, long_pem, known):
    server = serve(lambda request: answer(headers=DATE) if protocol_of(request) == known else answer(401, b"{}", DATE))
    chef = connect(server.url, key=long_pem)
    chef.post("/sandboxes", {})
    asked = len(server.requests)
    chef.get("/nodes")
    assert [protocol_of(request) for request in server.requests[asked:]] == [known]
    assert chef.protocol == known


def test_a_protocol_once_taken_is_not_doubted(serve, answer, connect):
    server = serve(answer(headers=DATE), answer(401, b"{}", DATE))
    chef = connect(server.url)
    chef.get("/nodes")
    with pytest.raises(AuthenticationError):
        chef.get("/nodes")
    assert [protocol_of(request) for request in server.requests] == ["1.3", "1.3"]


@pytest.mark.parametrize("broken", [0, 502])
def test_a_server_that_breaks_while_protocols_are_tried_has_taken_none(serve, answer, connect, broken):
    refused, breaks = answer(401, b"{}", DATE), answer(broken, b"", {})
    server = serve(lambda request: refused if protocol_of(request) == "1.3" else breaks)
    chef = connect(server.url)
    with pytest.raises(ChefServerError):
        chef.get("/nodes")
    assert chef.protocol == "1.3"


def versions(low: int, high: int) -> bytes:
    return json.dumps({"error": "invalid-x-ops-server-api-version", "min_version": low, "max_version": high}).encode()


def api_version(request) -> str:
    return request.headers["X-Ops-Server-API-Version"]


@pytest.mark.parametrize(("low", "high", "then"), [(0, 0, "0"), (2, 5, "2")])
def test_another_api_version_is_taken_where_the_server_has_one_we_know(serve, answer, connect, low, high, then):
    server = serve(answer(406, versions(low, high)), answer(headers=DATE))
    chef = connect(server.url)
    chef.post("/sandboxes", {})
    chef.get("/nodes")
    assert [api_version(request) for request in server.requests] == ["1", then, then]


@pytest.mark.parametrize(("low", "high"), [(3, 5), (1, 1)])
def test_no_api_version_in_common_is_an_error(serve, answer, connect, low, high):
    server = serve(answer(406, versions(low, high)))
    with pytest.raises(ChefServerError, match="406"):
        connect(server.url).get("/nodes")
    assert len(server.requests) == 1


@pytest.mark.parametrize(("header", "then"), [
    ('{"min_version":"0","max_version":"2"}', "2"), ('{"min_version":"0","max_version":"1"}', "1"), ("nonsense", "1"),
    ("[]", "1"), ('{"max_version":"two"}', "1"), ('{"max_version":1e999}', "1"), ("[" * 60_000, "1"),
])
def test_api_2_is_used_once_the_server_offers_it(serve, answer, connect, header, then):
    server = serve(answer(headers={**DATE, "X-Ops-Server-API-Version": header}))
    chef = connect(server.url)
    chef.get("/nodes")
    chef.get("/nodes")
    assert [api_version(request) for request in server.requests] == ["1", then]


def test_asks_who_the_server_is_only_once(serve, answer, connect):
    server = serve(answer(headers={**DATE, "X-Ops-API-Info": "flavor=goiardi;version=0.11.10"}))
    chef = connect(server.url)
    assert chef.is_goiardi
    assert chef.is_goiardi
    assert [request.path for request in server.requests] == ["/environments"]
    assert not connect(serve(answer()).url).is_goiardi


@pytest.mark.parametrize(("key", "said"), [
    ("hello", "no RSA key in PEM form"), ("", "no RSA key in PEM form"),
])
def test_a_key_that_is_none_names_where_it_was_said(connect, tmp_path, key, said):
    with pytest.raises(AuthenticationError, match=said) as refused:
        connect("http://chef.example", key=key, sources=(tmp_path / "config.rb",))
    assert str(tmp_path / "config.rb") in sentence(refused.value)


def test_a_public_key_is_refused_before_anything_is_sent(connect, pem):
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = Key(pem.encode()).key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(AuthenticationError, match="public key, which cannot sign"):
        connect("http://chef.example", key=public.decode())
