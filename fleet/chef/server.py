"""A Chef server: PyChef's ChefAPI with what it lacks: timeouts, a pool, safe retries, and the server's own words.

Works on Chef Infra Server (API 0 to 2, https://docs.chef.io/server/api_chef_server/) and on goiardi, which knows no
organisations, answers an unknown path with 200 and nothing, and announces API 0 to 1.
"""

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from fleet.chef import answers
from fleet.chef.answers import ODD
from fleet.chef.compat import Key, SSLError, chef
from fleet.chef.refusal import BUSY, CLOCK_LIMIT, clock_offset, refusal
from fleet.chef.signing import PROTOCOLS, sign
from fleet.chef.transport import Transport
from fleet.errors import AuthenticationError, ChefServerError, NotFoundError, ServerUnreachableError

TIMEOUT = (10.0, 120.0)  # seconds to connect, and between two bytes of an answer
_PAUSES = (0.5, 1.5)  # seconds before the second and the third attempt
log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class ChefServer(chef.ChefAPI):
    """The server that `config` (a `fleet.chef.config.ChefConfig`) names; a context manager that closes its connections.

    `url` includes the organisation, `protocol` is the signing protocol in use, `api_version` the one asked for. Raises
    AuthenticationError for a key that cannot sign. `timeout` is seconds to connect and seconds without a byte; `pause`
    is called with the seconds between two attempts, `clock` for the moment of a signature.
    """

    def __init__(self, config, *, timeout: tuple[float, float] = TIMEOUT, pause=time.sleep, clock=_now):
        try:
            key = Key(config.client_key.encode())
        except SSLError as error:
            where = " and ".join(str(path) for path in config.sources) or "the settings"
            raise AuthenticationError(f"the client_key of {config.client_name!r} in {where}: {error}") from error
        if key.public:
            raise AuthenticationError(f"the client_key of {config.client_name!r} is a public key, which cannot sign")
        super().__init__(config.server_url, key, config.client_name, ssl_verify=config.ssl_verify)
        self.knife = config.knife
        self.api_version = "1"
        self.protocol = PROTOCOLS[0]
        self._accepted = False  # the server has taken this protocol: a later 401 is about something else
        self._api_info: str | None = None
        self._pause, self._clock = pause, clock
        self._transport = Transport(config, timeout)

    def __repr__(self):
        return f"<ChefServer {self.url} as {self.client}>"

    def __exit__(self, kind, value, traceback):
        super().__exit__(kind, value, traceback)
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()

    @property
    def is_goiardi(self) -> bool:
        """True when the server says in X-Ops-API-Info that it is goiardi; asks it if it has not answered yet."""
        self.contact()
        return "goiardi" in self._api_info.lower()

    def contact(self) -> None:
        """Make sure the server has answered once, so that `api_version` and `is_goiardi` are its own words."""
        if self._api_info is None:
            self.get("/environments")

    def get(self, path: str):
        """Return the decoded JSON at `path` (below the organisation, query included).

        Raises the children of ChefServerError in fleet.errors, each with the server's own words.
        """
        return self.api_request("GET", path)

    def post(self, path: str, body):
        """Send `body` as JSON, return the decoded answer. Tried again only where it is a question, not a change."""
        return self.api_request("POST", path, data=body)

    def put(self, path: str, body, *, again: bool = True):
        """Replace what is at `path`, return the decoded answer; `again=False` makes a single attempt of it."""
        return self._decoded("PUT", path, self._signed("PUT", path, {}, self._json(body), again=again))

    def delete(self, path: str):
        """Delete what is at `path`, return the decoded answer; never tried again."""
        return self.api_request("DELETE", path)

    def put_file(self, url: str, data: bytes, headers: dict[str, str]) -> None:
        """Send `data` to a URL that the server gave for it: unsigned, because it may be another host's."""
        response = self._attempts(lambda: self._transport.send("PUT", url, data, headers), again=True)
        if not response.ok:
            raise refusal(response, method="PUT", path=urlsplit(url).path, client=self.client, url=self.url)

    def api_request(self, method: str, path: str, headers=None, data=None):
        """PyChef's entry: like `get` and its siblings, for any method."""
        body = None if data is None else self._json(data)
        return self._decoded(method, path, self.request(method, path, headers, body))

    def request(self, method: str, path: str, headers=None, data: bytes | str | None = None):
        """Return the requests.Response of one signed request that succeeded; raise for any other."""
        data = data.encode() if isinstance(data, str) else data
        return self._signed(method.upper(), path, headers or {}, data, again=_is_safe(method.upper(), path))

    def _signed(self, method: str, path: str, headers, body: bytes | None, *, again: bool):
        response = self._attempts(lambda: self._once(method, path, headers, body), again=again)
        if response.status_code == 406 and self._take_api_version(response):
            response = self._attempts(lambda: self._once(method, path, headers, body), again=again)
        clock_off = abs(clock_offset(response, self._clock()) or 0) >= CLOCK_LIMIT
        if response.status_code == 401 and not self._accepted and not clock_off:
            response = self._fall_back(method, path, headers, body, response)
        if not response.ok or response.is_redirect:
            now = self._clock()
            raise refusal(response, method=method, path=path, client=self.client, url=self.url, now=now)
        self._accepted = True
        return response

    def _fall_back(self, method: str, path: str, headers, body: bytes | None, response):
        """Try the older protocols once; the first that is taken is remembered."""
        asked = self.protocol
        for older in PROTOCOLS[PROTOCOLS.index(asked) + 1 :]:
            try:
                answer = self._once(method, path, headers, body, older)
            except SSLError:  # too small a key for the older protocols
                return response
            if answer.status_code == 401:
                continue
            if answer.status_code < 500:  # a broken server has judged no signature
                log.info("%s takes signing protocol %s, not %s", self.url, older, asked)
                self.protocol = older
            return answer
        return response

    def _attempts(self, once: Callable, *, again: bool):
        """Call `once` up to three times where that is safe; every attempt signs anew."""
        for pause in (*_PAUSES, None):
            try:
                response = once()
            except ServerUnreachableError as error:
                if pause is None or not again or not error.again:
                    raise
            else:
                if pause is None or not again or response.status_code not in BUSY:
                    return response
                asked = response.headers.get("Retry-After", "")
                pause = min(int(asked[:9]), 30) if asked.isascii() and asked.isdecimal() else pause
            self._pause(pause)
        raise AssertionError("the last attempt returns or raises")

    def _once(self, method: str, path: str, headers, body: bytes | None, protocol: str | None = None):
        signature = sign(
            self.key, self.client, method, self.parsed_url.path + path.partition("?")[0], body or b"",
            protocol=protocol or self.protocol, api_version=self.api_version, now=self._clock(),
        )
        sent = {"Accept": "application/json", "X-Chef-Version": "15.3.0", **dict(headers), **signature}
        if body is not None:
            sent["Content-Type"] = "application/json"
        response = self._transport.send(method, self.url + path, body, sent)
        self._api_info = self._api_info or response.headers.get("X-Ops-API-Info", "")
        if int(_offered(response).get("max_version", 0)) >= 2:
            self.api_version = "2"
        return response

    def _take_api_version(self, response) -> bool:
        """After a 406: ask for the highest version the server has and we know. False when there is none."""
        try:
            body = response.json()
            low, high = int(body["min_version"]), int(body["max_version"])
        except ODD:
            return False
        wanted = str(min(high, 2))
        if low > 2 or wanted == self.api_version:
            return False
        self.api_version = wanted
        return True

    def _decoded(self, method: str, path: str, response):
        if not response.content:
            advice = ""
            if "/organizations/" in self.url and "goiardi" in (self._api_info or "").lower():
                advice = ": goiardi has no organisations, so take /organizations/... out of chef_server_url"
            raise NotFoundError(f"{self.url} has nothing at {method} {path.partition('?')[0]}{advice}")
        try:
            decoded = answers.decoded(response.content)
            if not isinstance(decoded, (dict, list)):
                raise ValueError(f"{type(decoded).__name__} is no answer of the API")
        except (ValueError, RecursionError) as error:
            raise ChefServerError(
                f"{self.url} did not answer {method} {path.partition('?')[0]} with the JSON of a Chef server: check "
                "chef_server_url"
            ) from error
        return decoded

    @staticmethod
    def _json(body) -> bytes:
        return json.dumps(body, separators=(",", ":")).encode()


def _is_safe(method: str, path: str) -> bool:
    """True where a second attempt cannot do what the first has done already: questions, and whole replacements."""
    question = path.startswith("/search/") or path.partition("?")[0].endswith("/cookbook_versions")
    return method in ("GET", "HEAD", "PUT") or (method == "POST" and question)


def _offered(response) -> dict:
    """The API versions a response header announces, {} when it announces none."""
    try:
        offered = json.loads(response.headers.get("X-Ops-Server-API-Version", "{}"))
        return {key: int(value) for key, value in offered.items() if key.endswith("_version")}
    except ODD:
        return {}
