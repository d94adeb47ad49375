"""What a client is: its files, the places it stands in, and the versions from which a format differs."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ..endpoint import Endpoint
from .proven import PROVEN

Files = dict[str, str]
"""{path: content}. A path is absolute, or in the user's home (`~/…`), or for the folder one works in."""

HOSTS = "/etc/hosts"


class Place(StrEnum):
    """Where the client runs."""

    POD = "pod"  # the cluster's DNS knows the registry
    NODE = "node"  # it does not, and the Service is reached by its address
    OUTSIDE = "outside"  # there is no way to the Service but a forwarded port, under a name of its own


class UnknownVersion(ValueError):
    """A version that is no version, or older than any that the registry can be used with."""


@dataclass(frozen=True, kw_only=True)
class Login:
    """An account, for a file of credentials."""

    username: str
    password: str


@dataclass(frozen=True, kw_only=True)
class Client:
    """One client program.

    `render`: the files for an endpoint, a place and a format. None of them holds a secret.
    `places`: where it can stand, the usual one first. `formats`: first version of each format, newest first.
    `shared`: those of its files that hold other things as well, so that ours is merged into them. `lasting`: those of
    which our piece stays when the client is configured otherwise, since other registries need it as well.
    `beside`: as `render`, where files are there already: it is given a function that reads one by its path.
    `login`: the file that holds credentials, of an endpoint and an account; None where the client keeps none.
    `probe`: a command line that asks the registry for an image that is not there, of a reference.
    `finish`: what is left to do by hand, as one sentence.
    """

    name: str
    title: str
    render: Callable[[Endpoint, Place, str], Files]
    places: tuple[Place, ...]
    formats: tuple[str, ...] = ("0",)
    shared: tuple[str, ...] = ()
    lasting: tuple[str, ...] = ()
    beside: Callable[[Endpoint, Place, str, Callable[[str], str | None]], Files] | None = None
    login: Callable[[Endpoint, Login], Files] | None = None
    probe: Callable[[str], list[str]] | None = None
    finish: str = ""

    def files(
        self,
        endpoint: Endpoint,
        place: Place | None = None,
        version: str | None = None,
        read: Callable[[str], str | None] | None = None,
    ) -> Files:
        """The client's files. `endpoint` is the registry's own; one for a client outside may be given as well.

        `version`: of the client, None for the newest. `read`: gives the text of a file that is there already, or None.
        Raises UnknownVersion, and ValueError for a place that is none of the client's.
        """
        place = place or self.places[0]
        if place not in self.places:
            raise ValueError(f"{self.name} is not used there; allowed: {', '.join(self.places)}")
        seen = endpoint.outside() if place is Place.OUTSIDE else endpoint
        if self.beside and read:
            return self.beside(seen, place, self.format(version), read)
        return self.render(seen, place, self.format(version))

    def others(self, endpoint: Endpoint) -> list[Files]:
        """What it may have been given before, in any mode, place and format. Of use for what it must not have now."""
        modes = [{"https": False, "ca": None}] + [
            {"https": True, "ca": "a CA", "verifies_address": address, "http": http}
            for address in (True, False)
            for http in (True, False)
        ]
        return [
            {path: text for path, text in found.items() if path not in self.lasting}
            for mode in modes
            for place in self.places
            for format_ in self.formats
            for found in [self.render(dataclasses.replace(endpoint, **mode), place, format_)]
        ]

    def format(self, version: str | None) -> str:
        """The one of `formats` that this version of the client reads."""
        if version is None:
            return self.formats[0]
        if not re.fullmatch(r"v?\d+(\.\d+){0,3}([-+~].*)?", version):
            raise UnknownVersion(f"{version!r} is no version; allowed: one such as {self._example}")
        for first in self.formats:
            if _numbers(version) >= _numbers(first):
                return first
        raise UnknownVersion(f"{self.name} {version} is too old; allowed: {self.formats[-1]} or newer")

    @property
    def proven(self) -> tuple[str, ...]:
        """The versions that the client tests ran, or none."""
        return PROVEN.get(self.name, ())

    @property
    def _example(self) -> str:
        return self.proven[0] if self.proven else self.formats[0]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[-+~]", version)[0]))


def named(endpoint: Endpoint, place: Place) -> Files:
    """The line that makes the registry's name known where no DNS does."""
    return {HOSTS: f"{endpoint.address} {endpoint.host}\n"} if place is Place.NODE and endpoint.internal else {}
