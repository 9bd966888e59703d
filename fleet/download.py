"""One URL's bytes over HTTPS: bounded in size and time, the certificate checked, redirects to HTTPS alone."""

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from urllib.parse import urlsplit

from fleet.errors import DownloadError, SettingsError
from fleet.text import clean
from fleet.within import within
from generator.errors import StypticError

BOUND = 256 * 2**20  # bytes: Debian's tracker is one file of more than 70 MB
LONGEST = 600.0  # seconds in all
SILENCE = 30.0  # seconds without a byte
_PIECE = 2**18


def download(url: str, bound: int = BOUND, longest: float = LONGEST, silence: float = SILENCE) -> bytes:
    """Return what an https:// URL answers, of at most `bound` bytes, within `longest` seconds.

    A server that sends nothing for `silence` seconds is given up. The system's certificate authorities are trusted, or
    those of the file that SSL_CERT_FILE names (OpenSSL's own variable); the proxy is that of https_proxy and no_proxy.
    Raises SettingsError for a URL that is no https:// one, DownloadError for no whole answer.
    """
    where = _named(url)
    try:
        return within(longest, lambda: _fetched(url, where, bound, longest, silence))
    except StypticError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        raise _failed(where, _refusal(error), status=error.code) from error
    except urllib.error.URLError as error:
        raise _unreached(where, error.reason, silence) from error
    except TimeoutError as error:
        raise _late(where, longest) from error
    except ssl.SSLError as error:
        raise _unreached(where, error, silence) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failed(where, f"broke off: {clean(str(error), 100) or type(error).__name__}") from error


def _named(url: str) -> str:
    """Return the URL as messages and files name it; raises SettingsError for one that is not downloaded."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "https" and parts.hostname and url.isascii() and url.isprintable() and " " not in url
        port = parts.port
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(f"{clean(url, 120)!r} is not downloaded: write an https:// URL, without spaces.")
    if parts.username is not None:
        raise SettingsError(f"the URL of {parts.hostname} names a user, whom every log would show: leave that out.")
    return f"https://{parts.hostname}{f':{port}' if port else ''}{parts.path}"


def _fetched(url: str, where: str, bound: int, longest: float, silence: float) -> bytes:
    end = time.monotonic() + longest
    request = urllib.request.Request(url, headers={"User-Agent": "styptic"})  # noqa: S310 - the opener knows https alone
    parts, size, announced = [], 0, None
    try:
        with _opener().open(request, timeout=silence) as response:
            announced = response.length  # None for a body in chunks
            while part := response.read1(_PIECE):
                parts.append(part)
                size += len(part)
                if max(size, announced or 0) > bound:
                    raise _failed(where, f"is larger than {bound} bytes, which is more than is read")
                if time.monotonic() > end:
                    raise _late(where, longest)  # for nobody, most likely: who waits was told by `within`
    except TimeoutError as error:
        raise _failed(where, f"sent nothing for {silence:g} s") from error
    if announced is not None and size < announced:
        raise _failed(where, f"broke off after {size} of {announced} bytes")
    return b"".join(parts)


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener that knows nothing but HTTPS, so that no redirect leads to anything else."""
    opener = urllib.request.OpenerDirector()
    handlers: tuple[Callable, ...] = (
        urllib.request.ProxyHandler, urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler, _Redirect,
    )
    for handler in handlers:
        opener.add_handler(handler())
    context = ssl.create_default_context()
    # As in fleet/chef/transport.py: Python 3.13 began to refuse what an authority of one's own often looks like.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    opener.add_handler(urllib.request.HTTPSHandler(context=context))
    return opener


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to https:// and no other."""

    max_redirections = 5

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        https = urlsplit(newurl).scheme == "https"
        return super().redirect_request(req, fp, code, msg, headers, newurl) if https else None


def _refusal(error: urllib.error.HTTPError) -> str:
    if 300 <= error.code < 400:
        to = clean(error.headers.get("Location") or "nowhere", 80)
        return f"leads to {to!r}, which is not followed: only HTTPS is, and {_Redirect.max_redirections} times at most"
    if error.code in (404, 410):
        return f"answers {error.code}: it has no such record"
    return f"answers {error.code} {clean(str(error.reason), 60)}".rstrip()


def _failed(where: str, what: str, status: int | None = None) -> DownloadError:
    error = DownloadError(f"{where} {what}.")
    error.reached, error.status = True, status
    return error


def _late(where: str, longest: float) -> DownloadError:
    return _failed(where, f"gave no whole answer within {longest:g} s")


def _unreached(where: str, reason: object, silence: float) -> DownloadError:
    """Return the error for a server that was never heard: a name, a network, a time-out or TLS."""
    if isinstance(reason, ssl.SSLCertVerificationError):
        said = clean(reason.verify_message.rstrip("."), 150)
        return DownloadError(
            f"{where} is not trusted: {said}; if a proxy of yours stands between, name its authority in SSL_CERT_FILE."
        )
    if isinstance(reason, TimeoutError):
        said = f"no answer within {silence:g} s"
    else:
        said = clean(str(getattr(reason, "strerror", None) or getattr(reason, "reason", None) or reason), 150)
    return DownloadError(
        f"{where} cannot be reached: {said}; fetch it where there is a network, and give the file in its place."
    )
