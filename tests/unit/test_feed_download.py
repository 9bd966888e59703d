"""What a download does to real HTTPS servers: good ones, endless ones, slow ones, and those that lead elsewhere."""

import contextlib
import os
import socket
import ssl
import threading

import pytest

from fleet.download import download
from fleet.errors import DownloadError, SettingsError


@pytest.fixture
def trusted(certificate, monkeypatch):
    """Trust the test's certificate as an operator would, and no proxy."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def context(certificate):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return made


@pytest.fixture
def raw(context):
    """Return a function that starts a TLS server of one connection, which `talk(connection, over)` holds; its URL."""
    over, threads = threading.Event(), []

    def start(talk) -> str:
        listener = socket.create_server(("127.0.0.1", 0))

        def run():
            with listener, contextlib.suppress(OSError):
                plain, _ = listener.accept()
                with plain, context.wrap_socket(plain, server_side=True) as connection:
                    connection.recv(65_536)
                    talk(connection, over)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return f"https://127.0.0.1:{listener.getsockname()[1]}/feed.json"

    yield start
    over.set()
    for thread in threads:
        thread.join()


def refused(url: str, **limits) -> str:
    with pytest.raises(DownloadError) as caught:
        download(url, **limits)
    assert str(caught.value).isprintable()
    assert str(caught.value).endswith(".")
    return str(caught.value)


def test_a_body_comes_whole(trusted, serve, answer, context):
    body = os.urandom(2**20)
    server = serve(answer(body=body), context=context)
    assert download(f"{server.url}/a/feed.json?b=c") == body
    [request] = server.requests
    assert (request.method, request.path) == ("GET", "/a/feed.json?b=c")
    assert {name.lower() for name in request.headers} == {"host", "user-agent", "connection", "accept-encoding"}


def test_a_body_in_chunks_comes_whole(trusted, raw):
    def talk(connection, over):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n1\r\n \r\n0\r\n\r\n")

    assert download(raw(talk)) == b"{}\n "


def test_a_certificate_of_nobodys_is_refused_with_the_way_out(trusted, serve, answer, context, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    server = serve(answer(), context=context)
    assert "is not trusted: self-signed certificate; if a proxy" in refused(server.url)
    assert server.requests == []


def test_a_certificate_of_another_name_is_refused(trusted, serve, answer, context):
    server = serve(answer(), context=context)
    assert "is not trusted" in refused(server.url.replace("127.0.0.1", "localhost"))
    assert server.requests == []


def test_more_than_is_announced_as_too_much_is_not_read(trusted, serve, answer, context):
    server = serve(answer(body=b"x" * 100_000), context=context)
    assert "is larger than 1000 bytes" in refused(server.url, bound=1000)


@pytest.mark.parametrize("head", [b"", b"Transfer-Encoding: chunked\r\n"])
def test_an_endless_body_ends_at_the_bound(trusted, raw, head):
    def talk(connection, over):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        piece = b"x" * 65_536
        while not over.is_set():
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if head else piece)

    assert "is larger than 1000000 bytes" in refused(raw(talk), bound=1_000_000)


def test_a_body_that_breaks_off_is_no_body(trusted, raw):
    def talk(connection, over):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")

    assert "broke off after 2 of 100 bytes" in refused(raw(talk))


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_a_server_that_falls_silent_is_given_up(trusted, raw, said):
    def talk(connection, over):
        connection.sendall(said)
        over.wait()

    assert "sent nothing for 0.2 s" in refused(raw(talk), silence=0.2)


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"])
def test_a_byte_at_a_time_does_not_last_for_ever(trusted, raw, said):
    def talk(connection, over):
        connection.sendall(said)
        while not over.wait(0.02):
            connection.sendall(b"x")

    assert "gave no whole answer within 0.3 s" in refused(raw(talk), longest=0.3, silence=5)


@pytest.mark.parametrize("to", ["http://127.0.0.1/x", "file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_a_redirect_to_anything_but_https_is_not_followed(trusted, serve, answer, context, to):
    server = serve(answer(status=302, headers={"Location": to}), context=context)
    assert f"leads to '{to}', which is not followed: only HTTPS is" in refused(server.url)
    assert len(server.requests) == 1


def test_a_redirect_to_https_is_followed_but_not_for_ever(trusted, serve, answer, context):
    there = serve(answer(body=b"there"), context=context)
    here = serve(answer(status=301, headers={"Location": there.url}), context=context)
    assert download(here.url) == b"there"
    circle = serve(lambda request: answer(status=302, headers={"Location": f"/{len(request.path)}{request.path}"}),
                   context=context)
    assert "5 times at most" in refused(circle.url)
    assert len(circle.requests) == 6


@pytest.mark.parametrize(("status", "said"), [(404, "has no such record"), (500, "answers 500"), (403, "answers 403")])
def test_a_refusal_is_told_with_its_status(trusted, serve, answer, context, status, said):
    server = serve(answer(status=status), context=context)
    with pytest.raises(DownloadError, match=said) as caught:
        download(server.url)
    assert (caught.value.status, caught.value.reached) == (status, True)


def test_offline_is_a_sentence_with_the_way_out(trusted):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(DownloadError, match=r"cannot be reached: Connection refused; .* give the file in its place\.$"
                       ) as caught:
        download(f"https://127.0.0.1:{port}/feed.json")
    assert (caught.value.status, caught.value.reached) == (None, False)


def test_a_name_that_nobody_has_is_a_sentence(trusted):
    assert "cannot be reached: " in refused("https://feed.invalid/x")


def test_a_server_without_tls_is_a_sentence(trusted, serve, answer):
    server = serve(answer())
    assert "cannot be reached: " in refused(server.url.replace("http:", "https:"))


def test_the_proxy_of_the_environment_is_asked(trusted, serve, answer, monkeypatch):
    proxy = serve(answer(status=403))
    monkeypatch.setenv("https_proxy", proxy.url)
    assert "cannot be reached: Tunnel connection failed: 403" in refused("https://feed.invalid/x")
    assert proxy.requests[0].method == "CONNECT"


@pytest.mark.parametrize("url", [
    "http://feed.example/x", "file:///etc/passwd", "https://", "https:///x", "ftp://feed.example", "https://feed.example:x/",
    "https://feed.example/a b", "https://feed.example/\n", "https://feed.example/é", "https://[::1", "", "feed.example",
])
def test_what_is_not_downloaded(url):
    with pytest.raises(SettingsError, match="write an https:// URL"):
        download(url)


def test_a_password_in_a_url_is_refused_and_not_shown():
    with pytest.raises(SettingsError, match="names a user") as caught:
        download("https://ada:secret@feed.example/x")
    assert "secret" not in str(caught.value)
