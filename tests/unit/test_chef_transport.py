"""Certificates and proxies: what is trusted is what knife would trust, and the settings alone say how to get there."""

import ssl

import pytest

from fleet.chef.config import ChefConfig
from fleet.chef.server import ChefServer
from fleet.errors import ServerUnreachableError, SettingsError


@pytest.fixture
def https(serve, answer, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return serve(answer(body=b"[]"), context=context)


def asked(url: str, pem: str, **settings):
    with ChefServer(ChefConfig(url, "ada", pem, **settings), timeout=(5.0, 5.0), pause=lambda _: None) as chef:
        return chef.get("/nodes")


@pytest.mark.parametrize("where", ["trusted_certs", "ssl_ca_file"])
def test_a_certificate_of_the_users_own_is_trusted(https, pem, certificate, where):
    assert asked(https.url, pem, **{where: (certificate,) if where == "trusted_certs" else certificate}) == []


def test_an_unknown_certificate_is_refused_with_the_way_out(https, pem):
    with pytest.raises(ServerUnreachableError, match=r"TLS failed: self.signed certificate; .*trusted_certs"):
        asked(https.url, pem)
    assert https.requests == []


def test_another_name_than_the_certificates_is_refused(https, pem, certificate):
    with pytest.raises(ServerUnreachableError, match=r"localhost.*; set chef_server_url to a name .* is for"):
        asked(https.url.replace("127.0.0.1", "localhost"), pem, trusted_certs=(certificate,))


def test_an_ssl_ca_file_is_all_that_is_trusted(https, pem, certificate):
    with ChefServer(ChefConfig(https.url, "ada", pem, ssl_ca_file=certificate)) as chef:
        chef.get("/nodes")
        context = chef._transport._session.get_adapter("https://")._context
        assert context.cert_store_stats()["x509"] == 1, "requests has added authorities of its own"


def test_without_verification_it_is_said_once(https, pem, caplog):
    with ChefServer(ChefConfig(https.url, "ada", pem, ssl_verify=False)) as chef:
        assert chef.get("/nodes") == chef.get("/nodes") == []
    assert [record.getMessage() for record in caplog.records] == [
        f"the certificate of {https.url} is not verified, because ssl_verify_mode says so"
    ]


@pytest.mark.parametrize(("setting", "said"), [
    ("ssl_ca_file", "ssl_ca_file {path} cannot be read"),
    ("trusted_certs", "trusted certificate {path} cannot be read"),
])
@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_certificate_file_that_is_none_is_named(tmp_path, pem, setting, said, text):
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    value = (path,) if setting == "trusted_certs" else path
    with pytest.raises(SettingsError) as refused:
        ChefServer(ChefConfig("https://chef.example", "ada", pem, **{setting: value}))
    assert said.format(path=path) in str(refused.value)


def test_no_tls_where_tls_is_asked(serve, answer, pem):
    url = serve(answer()).url.replace("http:", "https:")
    with pytest.raises(ServerUnreachableError, match=r"TLS failed: .*; check that chef_server_url has the scheme"):
        asked(url, pem)


def test_goes_through_the_proxy_of_the_settings(serve, answer, pem):
    proxy = serve(answer(body=b'["by proxy"]'))
    settings = {"proxies": {"http": proxy.url, "no_proxy": "other.example,.inside.example"}}
    assert asked("http://chef.example:8080/organizations/acme", pem, **settings) == ["by proxy"]
    assert proxy.requests[0].path == "http://chef.example:8080/organizations/acme/nodes"


@pytest.mark.parametrize("bypass", ["127.0.0.1", "*", "10.0.0.1, 127.0.0.0/8"])
def test_no_proxy_is_obeyed(serve, answer, pem, bypass):
    proxy, server = serve(answer(body=b'["by proxy"]')), serve(answer(body=b'["directly"]'))
    assert asked(server.url, pem, proxies={"http": proxy.url, "no_proxy": bypass}) == ["directly"]
    assert proxy.requests == []


def test_a_proxy_that_refuses_is_named_as_one(serve, answer, pem):
    proxy = serve(answer(407, b"", {}))
    with pytest.raises(ServerUnreachableError, match=r"the proxy did not let us through: .*407") as refused:
        asked("https://chef.example", pem, proxies={"https": proxy.url.replace("http://", "http://ada:secret@")})
    assert "secret" not in str(refused.value)


def test_the_environment_speaks_through_the_settings_only(serve, answer, pem, monkeypatch):
    """fleet.chef.config reads the proxy variables; requests must not read them, nor ~/.netrc, behind its back."""
    proxy, server = serve(answer(body=b'["by proxy"]')), serve(answer(body=b'["directly"]'))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    assert asked(server.url, pem) == ["directly"]
    assert "Authorization" not in server.requests[0].headers


@pytest.mark.parametrize("password", [
    "secret#1", "secret/1", "secret?1", "secret\\1", "[secret", "秘密", "x@secret..1/", "1/secret",
])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_piece_of_a_proxys_password_is_shown(pem, password, scheme):
    """Where it holds a # or a /, a URL's parser takes its beginning for a port or a host, and says so."""
    proxies = {scheme: f"http://ada:{password}@127.0.0.1:9"}
    with pytest.raises(ServerUnreachableError) as refused:
        asked(f"{scheme}://chef.invalid", pem, proxies=proxies)
    assert not any(piece in str(refused.value) for piece in ("secret", "秘密", "ada"))


def test_a_proxys_url_that_is_none_is_told_how_to_be_one(pem):
    with pytest.raises(ServerUnreachableError, match="not a usable URL; if that is the proxy's, write # as %23"):
        asked("http://chef.invalid", pem, proxies={"http": "http://ada:a#b@127.0.0.1:9"})


def test_a_file_stores_url_that_is_none_is_an_error(serve, answer, pem):
    with (
        ChefServer(ChefConfig(serve(answer()).url, "ada", pem)) as chef,
        pytest.raises(ServerUnreachableError, match=r"not a usable URL$"),
    ):
        chef.put_file("http://[x", b"", {})
