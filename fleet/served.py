"""What a node serves before anything is changed on it, and must serve after it."""

from collections.abc import Mapping
from dataclasses import dataclass

from fleet import look

SECONDS = 60  # for each of the questions; they only read


@dataclass(frozen=True, slots=True)
class Served:
    """What a node served before the converge: ports that answered TLS, services that ran.

    `whose` are ports with what the process that listened there calls itself, where that is known.
    """

    tls: tuple[int, ...] = ()
    services: tuple[str, ...] = ()
    whose: tuple[tuple[int, str], ...] = ()

    @property
    def listeners(self) -> tuple[str, ...]:
        """The ports as tests/infra takes them: 443, or 443=nginx."""
        whose = dict(self.whose)
        return tuple(f"{port}={whose[port]}" if port in whose else str(port) for port in self.tls)

    def __or__(self, other: "Served") -> "Served":
        """Return what was served at either of two moments."""
        return Served(
            tuple(dict.fromkeys(self.tls + other.tls)), tuple(dict.fromkeys(self.services + other.services)),
            tuple((dict(self.whose) | dict(other.whose)).items()),
        )

    @property
    def detail(self) -> dict[str, list]:
        """As a step in the journal has it, for who goes on with a run that was cut short."""
        return {"tls": list(self.tls), "services": list(self.services), "whose": [list(each) for each in self.whose]}

    @classmethod
    def of(cls, detail: Mapping[str, object]) -> "Served":
        """Return what `detail` was made of; what it lacks, or what is of another type, is as nobody said it."""
        def listed(key: str) -> list:
            return value if isinstance(value := detail.get(key), list) else []

        ports = tuple(each for each in listed("tls") if type(each) is int)
        pairs = (each for each in listed("whose") if isinstance(each, list) and len(each) == 2)
        whose = tuple((port, str(name)) for port, name in pairs if type(port) is int)
        return cls(ports, tuple(map(str, listed("services"))), whose)


NOTHING = Served()


async def ask(connection, sudo: bool) -> Served:
    """Ask a node over a connection (fleet.ssh's) what it serves now. Raises NodeError for no answer."""
    from generator import running, services, tls

    names = [name for service in services.load().values() for name in service.names]
    said = []
    for script in (tls.command(), running.command(names)):
        answer = await connection.run(
            ["sh", "-s"], stdin=script.encode(), timeout=SECONDS, limit=look.BOUND, sudo=sudo
        )
        said.append(answer.stdout.decode(errors="replace"))
    answered = tls.found(said[0])
    return Served(answered.ports, running.parse(said[1]), tuple(answered.whose.items()))
