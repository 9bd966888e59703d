"""nmap in sslyze's place: its scripts ssl-heartbleed and ssl-cert, and what its XML says.

It reads some of what a bleeding server sends, and keeps its length alone; that it had no answer it calls "not
vulnerable", so a port that did not show its certificate in the same scan is not believed.
"""

import xml.etree.ElementTree as ET  # nmap's own XML, which holds what a server says escaped
from collections.abc import Sequence
from datetime import UTC, datetime

from fleet.errors import NodeError
from fleet.live_seen import Certificate, Seen
from fleet.text import clean

ANSWERS = {"VULNERABLE": True, "NOT VULNERABLE": False}


def words(address: str, ports: Sequence[int]) -> list[str]:
    """Return the command line for these ports of an IP address: no ping, no name service, no version detection.

    `+` runs a script on a port that nmap would not take for TLS; vulns.showall has it say "not vulnerable" too (see
    nmap(1) and the scripts' own documentation).
    """
    return [
        "nmap", "-n", "-Pn", "-sT", "--unprivileged", *(["-6"] if ":" in address else []),
        "-p", ",".join(str(port) for port in ports), "--script", "+ssl-heartbleed,+ssl-cert",
        "--script-args", "vulns.showall", "--script-timeout", "60s", "-oX", "-", "--", address,
    ]


def parse(output: bytes) -> tuple[str, dict[int, Seen]]:
    """Return who asked (nmap and its version) and what each port showed. Raises NodeError for no whole answer."""
    try:
        root = ET.fromstring(output)  # noqa: S314 - bounded, and expat itself refuses entities that grow without bound
        by = f"nmap {clean(root.attrib['version'], 20)}"
        if root.find("runstats/finished[@exit='success']") is None:
            raise ValueError("it did not end well")
        seen = [seen_of(port) for port in root.iterfind("host/ports/port")]
    except (ET.ParseError, KeyError, ValueError) as error:
        raise NodeError("nmap gave no whole answer; nothing is proven from outside.") from error
    return by, {each.port: each for each in seen}


def seen_of(port: ET.Element) -> Seen:
    """Return one port's result."""
    number = int(port.attrib["portid"])
    state = port.find("state").attrib if port.find("state") is not None else {}
    if state.get("state") != "open":
        return Seen(number, unreached=clean(f"{state.get('state')} ({state.get('reason')})", 100))
    told = port.find("script[@id='ssl-heartbleed']/table/elem[@key='state']")
    shown = port.find("script[@id='ssl-cert']")
    certificates = () if shown is None else tuple(certificates_of(shown))
    bleeds = ANSWERS.get(told.text or "") if told is not None else None
    if bleeds is False and not certificates:
        bleeds = None
    return Seen(number, bleeds, None, certificates, trouble=None if bleeds is not None else "nmap had no answer")


def certificates_of(shown: ET.Element):
    """Yield the certificate that ssl-cert told, if its dates can be read."""
    begins, ends = (shown.findtext(f"table[@key='validity']/elem[@key='{key}']") for key in ("notBefore", "notAfter"))
    whose = shown.findtext("table[@key='subject']/elem[@key='commonName']") or "nobody"
    try:
        yield Certificate(clean(whose, 120), moment(begins or ""), moment(ends or ""))
    except ValueError:
        return


def moment(text: str) -> datetime:
    """Return nmap's time, which is UTC where it names no other."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
