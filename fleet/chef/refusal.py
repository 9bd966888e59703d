"""What a Chef server's refusal means: from an HTTP answer to one of our errors, with the server's own words in it."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from fleet.chef.answers import ODD
from fleet.errors import AuthenticationError, ChefServerError, ConflictError, NotFoundError
from fleet.text import clean

CLOCK_LIMIT = 15 * 60  # seconds a signature may be off: https://docs.chef.io/server/api_chef_server/#x-ops-timestamp
BUSY = (429, 502, 503, 504)  # a server, or a proxy before it, that may answer in a moment
_SLACK = 60  # seconds that an answer may have been under way


def refusal(response, *, method: str, path: str, client: str, url: str, now: datetime | None = None) -> ChefServerError:
    """Return the error that `response` (a requests.Response that is no success) stands for, its `status` the answer's.

    `method` and `path` are what was asked of the API, `client` is who signed, `url` the server's; `now` is our clock at
    the answer.
    """
    error = _error(response, method, path, client, url, now)
    error.status, error.again = response.status_code, response.status_code in BUSY
    return error


def _error(response, method, path, client, url, now) -> ChefServerError:
    words, status = server_words(response), response.status_code
    asked = f"{method} {path.partition('?')[0]}"
    if status == 401:
        return AuthenticationError(_not_authenticated(response, words, client, url, now))
    if status == 403:
        return ChefServerError(f"{url} does not allow {client!r} to {asked}: {words}")
    if status == 404:
        advice = "; every Chef server has that: check chef_server_url, which ends in /organizations/NAME on most"
        return NotFoundError(f"{url} has nothing at {asked}: {words}{advice if path == '/environments' else ''}")
    if status == 409:
        return ConflictError(f"{url} refuses {asked}: {words}")
    if status == 413:
        return ChefServerError(f"{url} refuses {asked}: what was sent is larger than the server takes (413): {words}")
    if 300 <= status < 400:
        where = clean(response.headers.get("Location", "nowhere"), 200)
        return ChefServerError(f"{url} points to {where} for {asked}: set chef_server_url to where it really is")
    return ChefServerError(f"{url} failed at {asked} with {status}: {words}")


def clock_offset(response, now: datetime | None = None) -> float | None:
    """Return by how many seconds our clock is ahead of the server's Date header, None when it has none."""
    try:
        theirs = parsedate_to_datetime(response.headers["Date"])
        theirs = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
        return ((now or datetime.now(UTC)) - theirs).total_seconds()
    except ODD:
        return None


def server_words(response) -> str:
    """Return what the server itself says of the failure, at most 400 characters, fit for a terminal."""
    try:
        body = response.json()
        if isinstance(body, dict):
            body = next((body[key] for key in ("error", "error_message", "message") if body.get(key)), body)
        parts = body if isinstance(body, list) else [body or _reason(response)]
        words = "; ".join(str(part.get("message", part) if isinstance(part, dict) else part) for part in parts)
    except ODD:
        kind = response.headers.get("Content-Type", "")
        words = "" if "html" in kind else response.content[:4000].decode(errors="replace")
    return clean(words, 400).rstrip(". ") or _reason(response)


def _reason(response) -> str:
    return clean(response.reason or "", 80) or "no words"


def _not_authenticated(response, words: str, client: str, url: str, now: datetime | None) -> str:
    offset = clock_offset(response, now)
    refused = f"{url} does not accept the signature of {client!r}: {words}"
    if offset is not None and abs(offset) > CLOCK_LIMIT - _SLACK:
        side = "ahead of" if offset > 0 else "behind"
        return (
            f"{refused}; our clock is {abs(offset):.0f} s {side} the server's, and {CLOCK_LIMIT} s are allowed: "
            "set it right (NTP) and try again"
        )
    return f"{refused}; check that node_name and client_key belong together and that the client exists on the server"
