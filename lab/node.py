"""One of the lab's nodes, and the files that make a base that node and no other."""

import re
from dataclasses import dataclass
from pathlib import Path

from lab import bases
from lab.host import NODES, RUN, LabError

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
INITS = ("systemd", "sysv")
IDENTITIES = RUN / "identity"


@dataclass(frozen=True, slots=True)
class LabNode:
    """A node: the base it starts from, the init it runs (systemd or sysv), its Chef environment, its address."""

    name: str
    base: str
    init: str
    environment: str
    address: str

    def __post_init__(self):
        if not NAME.fullmatch(self.name):
            raise LabError(f"a lab node's name is lower-case letters, digits and -, not {self.name!r}.")
        if self.base not in bases.BASES:
            raise LabError(f"the lab has no base {self.base!r}; it has {', '.join(bases.BASES)}.")
        if self.init not in INITS:
            raise LabError(f"a lab node's init is {' or '.join(INITS)}, not {self.init!r}.")

    @property
    def identity(self) -> Path:
        """Where the node's keys and its process id are kept while the lab is up; a reset keeps the keys."""
        return IDENTITIES / self.name

    @property
    def place(self) -> Path:
        """Where its overlay is mounted, in the holder's mount namespace alone."""
        return NODES / self.name

    @property
    def services(self) -> tuple[str, ...]:
        """The services it starts, in this order."""
        return bases.BASES[self.base].services
