"""sslyze as a program: which words it is called with, and what its JSON says.

Its question for Heartbleed (sslyze/plugins/heartbleed_plugin.py, after Mozilla's of April 2014) proves the fault
without exploiting it: heartbeats that lack their padding and ask back no more than they sent. A server with the fault
answers them; a fixed one drops them, as RFC 6520, 4 demands. Of the answer sslyze tells yes or no, and no byte.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fleet.errors import NodeError
from fleet.live_seen import Certificate, Seen
from fleet.text import clean

# sslyze/errors.py: no connection came about. Any other error is of a port that is reached and not understood.
UNREACHED = ("ConnectionToServerFailed", "ConnectionToServerTimedOut", "ServerRejectedConnection")
MOST = 8  # certificates told of one port


def words(python: Path, address: str, ports: Sequence[int]) -> list[str]:
    """Return the command line for these ports of an IP address: the scans that are read, gently, JSON out.

    It opens six to eight connections a port: to find the protocol, one for the heartbeat (none where TLS 1.3 is spoken,
    which no OpenSSL with the fault knows), and four for the certificates that different clients are shown.
    """
    host = f"[{address}]" if ":" in address else address
    scans = ["--heartbleed", "--certinfo", "--mozilla_config=disable", "--slow_connection"]
    servers = [f"{host}:{port}" for port in ports]
    return [str(python), "-I", "-W", "ignore", "-m", "sslyze", *scans, "--json_out=-", *servers]


def parse(output: bytes) -> tuple[str, dict[int, Seen]]:
    """Return who asked (sslyze and its version) and what each port showed. Raises NodeError for no whole answer.

    The JSON is sslyze's; names and dates in it are the server's own and are taken as text.
    """
    try:
        said = json.loads(output)
        version = clean(str(said["sslyze_version"]), 20)
        seen = [seen_of(result) for result in said["server_scan_results"]]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise NodeError("sslyze gave no whole answer; nothing is proven from outside.") from error
    return f"sslyze {version}", {each.port: each for each in seen}


def seen_of(result: dict) -> Seen:
    """Return one server's result."""
    port = int(result["server_location"]["port"])
    if result["connectivity_status"] != "COMPLETED":
        kind, why = reason_of(result["connectivity_error_trace"])
        return Seen(port, unreached=why) if kind in UNREACHED else Seen(port, trouble=why)
    scans = result["scan_result"]
    heartbleed, shown = scans["heartbleed"], scans["certificate_info"]
    bleeds, trouble = None, None
    if heartbleed["status"] == "COMPLETED":
        bleeds = heartbleed["result"]["is_vulnerable_to_heartbleed"]
        if not isinstance(bleeds, bool):
            raise ValueError("neither yes nor no")
    else:
        trouble = reason_of(heartbleed["error_trace"])[1]
    deployed = shown["result"]["certificate_deployments"] if shown["status"] == "COMPLETED" else []
    highest = str(result["connectivity_result"]["highest_tls_version_supported"])
    certificates = tuple(certificate_of(each) for each in deployed[:MOST])
    return Seen(port, bleeds, spelled(highest), certificates, trouble=trouble)


def certificate_of(deployment: dict) -> Certificate:
    """Return the server's own certificate of a chain."""
    leaf = deployment["received_certificate_chain"][0]
    subject = leaf["subject"] or {}
    names = {each["oid"]["name"]: each["value"] for each in subject.get("attributes", ())}
    whose = names.get("commonName") or subject.get("rfc4514_string") or "nobody"
    return Certificate(clean(str(whose), 120), moment(leaf["not_valid_before"]), moment(leaf["not_valid_after"]))


def moment(text: str) -> datetime:
    """Return an ISO 8601 time, which is UTC where it names no other."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def spelled(version: str) -> str:
    """Return TLS_1_2 as people write it."""
    kind, _, number = clean(version, 20).partition("_")
    return f"{kind} {number.replace('_', '.')}".strip()


def reason_of(trace: str | None) -> tuple[str, str]:
    """Return the class and the words of the error that ends a Python trace: `module.Class: host:port -> "words".`"""
    last = [line for line in (trace or "").splitlines() if line.strip()][-1:] or ["Error: it gives no reason"]
    name, _, told = last[0].partition(":")
    return name.rpartition(".")[2].strip(), clean(told.rpartition("-> ")[2].strip(' ."') or name, 200)
