"""The HTTP session under the Chef API: connection pool, certificates and proxies, nothing of Chef's own."""

import logging
import ssl
import warnings
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from requests.utils import should_bypass_proxies
from urllib3.exceptions import InsecureRequestWarning

from fleet.errors import ChefServerError, ServerUnreachableError, SettingsError
from fleet.text import clean
from fleet.within import within

POOL = 10  # connections kept open to one host
LONGEST = 900.0  # seconds for one request in all: goiardi needs some for 10,000 nodes, one byte a minute needs years
BOUND = 256 * 2**20  # bytes of one answer; 10,000 nodes of a search are a few per cent of it
# What mends a certificate that was refused, by OpenSSL's number for why: X509_STORE_CTX_get_error(3).
_DATED = "have it renewed, or, if it is good for today, set our clock right (NTP)"
_NAMED = "set chef_server_url to a name or an address that the certificate is for"
_MENDS = {9: _DATED, 10: _DATED, 62: _NAMED, 64: _NAMED}
log = logging.getLogger(__name__)


class _Adapter(HTTPAdapter):
    """Verifies with a context of ours, which trusts the configured certificates as well as the system's."""

    def __init__(self, context: ssl.SSLContext):
        self._context = context
        super().__init__(pool_connections=POOL, pool_maxsize=POOL, pool_block=True)

    def cert_verify(self, conn, url, verify, cert):
        """Leave the context as it is: requests would add certifi's authorities even to an ssl_ca_file."""

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, proxy, **kwargs):
        return super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)


class _Session(requests.Session):
    """Follows no redirect; requests would read all of such an answer to tell where it leads."""

    def get_redirect_target(self, resp):
        return None


class Transport:
    """One session: `send` makes exactly one attempt and follows no redirect.

    `config` is a `fleet.chef.config.ChefConfig`. Raises SettingsError for a certificate file that cannot be read.
    """

    def __init__(self, config, timeout: tuple[float, float]):
        self._timeout, self._proxies = timeout, dict(config.proxies)
        self._bypass = self._proxies.pop("no_proxy", None) or ""
        self._session = _Session()
        # The settings already say what the environment says; ~/.netrc must not add an Authorization header.
        self._session.trust_env = False
        self._session.headers = {"User-Agent": "styptic"}
        self._session.verify = config.ssl_verify
        if config.ssl_verify:
            self._session.mount("https://", _Adapter(_context(config)))
        elif config.server_url.startswith("https:"):
            log.warning("the certificate of %s is not verified, because ssl_verify_mode says so", config.server_url)
            warnings.simplefilter("ignore", InsecureRequestWarning)  # said once, not with every request
        self._session.mount("http://", HTTPAdapter(pool_connections=POOL, pool_maxsize=POOL, pool_block=True))

    def send(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> requests.Response:
        """Return the answer to one request, whatever its status.

        Raises ServerUnreachableError in one sentence; its `again` says whether another attempt could end otherwise.
        Raises ChefServerError for an answer of more than BOUND bytes.
        """
        try:
            return within(LONGEST, lambda: self._exchange(method, url, body, headers))
        except TimeoutError as error:
            raise _unreachable(url, f"no whole answer within {LONGEST:g} s", again=False) from error
        except requests.exceptions.SSLError as error:
            raise _unreachable(url, f"TLS failed: {_reason(error)}; {_advice(error)}", again=False) from error
        except requests.exceptions.ProxyError as error:
            raise _unreachable(url, f"the proxy did not let us through: {_reason(error)}") from error
        except requests.exceptions.ConnectTimeout as error:
            raise _unreachable(url, f"no connection within {self._timeout[0]:g} s; check the network") from error
        except requests.exceptions.Timeout as error:
            raise _unreachable(url, f"no answer within {self._timeout[1]:g} s") from error
        except ValueError as error:  # requests' own words for a URL that is none are some, and quote it
            mend = "; if that is the proxy's, write # as %23 and / as %2F in its password" if self._proxies else ""
            raise _unreachable(url, f"not a usable URL{mend}", again=False) from error
        except requests.exceptions.RequestException as error:
            raise _unreachable(url, f"{_reason(error)}; check chef_server_url and the network") from error

    def _exchange(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> requests.Response:
        proxies = {} if should_bypass_proxies(url, self._bypass) else self._proxies
        response = self._session.request(
            method, url, data=body, headers=headers, timeout=self._timeout, proxies=proxies, allow_redirects=False,
            stream=True,
        )
        with response:
            parts, size = [], 0
            for part in response.iter_content(65_536):
                parts.append(part)
                size += len(part)
                if size > BOUND:
                    where = url.partition("?")[0]
                    raise ChefServerError(f"{where} answered with more than {BOUND} bytes: ask for less (--query)")
            response._content = b"".join(parts)  # as requests itself does without `stream`, which knows no bound
        return response

    def close(self) -> None:
        """Close every connection."""
        self._session.close()


def _context(config) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(config.ssl_ca_file) if config.ssl_ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"ssl_ca_file {config.ssl_ca_file} cannot be read as certificates: {error}") from error
    # Python 3.13 began to refuse what a Chef server's own self-signed certificate looks like; knife takes it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    for path in config.trusted_certs:
        _trust(context, path)
    return context


def _trust(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"the trusted certificate {path} cannot be read: {error}") from error


def _unreachable(url: str, what: str, again: bool = True) -> ServerUnreachableError:
    # A URL of the file store carries its own signature behind the question mark.
    error = ServerUnreachableError(f"the Chef server does not answer at {url.partition('?')[0]}: {what}")
    error.again = again
    return error


def _advice(error: BaseException) -> str:
    """What mends a TLS connection that did not come about."""
    code = getattr(_innermost(error), "verify_code", None)
    if code is None:
        return "check that chef_server_url has the scheme and the port that the server listens on"
    own = "if the server is yours, put its certificate into trusted_certs beside config.rb (knife ssl fetch)"
    return _MENDS.get(code, own)


def _innermost(error: BaseException) -> BaseException:
    """The cause of all causes, without urllib3's wrapping."""
    inner = error
    for _ in range(8):
        deeper = getattr(inner, "reason", None) or getattr(inner, "__cause__", None)
        deeper = deeper or next((part for part in getattr(inner, "args", ()) if isinstance(part, BaseException)), None)
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    return inner


def _reason(error: BaseException) -> str:
    """The innermost cause in words."""
    inner = _innermost(error)
    if "RemoteDisconnected" in type(inner).__name__ or isinstance(inner, ConnectionResetError):
        return "it closed the connection without an answer"
    if isinstance(inner, ValueError) and not isinstance(inner, ssl.SSLError):
        return "its host is none"  # a parser's words can hold what it took for a host: a piece of a proxy's password
    words = getattr(inner, "verify_message", None) or getattr(inner, "strerror", None) or str(inner)
    return clean(str(words), 200)
