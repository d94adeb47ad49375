"""One client in use: on a machine of its own, with what the installer gave it, against one registry."""

import contextlib
import io
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from unittest import mock

from rich.console import Console

from components import clients
from components.reach import explain
from components.render.clients import CLIENTS, Place
from components.render.endpoint import Endpoint
from tests.clients import artifacts
from tests.clients.machine import Failed, Machine
from tests.clients.results import Results
from tests.clients.subjects import Subject
from tests.live.serving import Site

ACCOUNT = "ci"
WRONG_PASSWORD = "not-the-password"
SECONDS = 5.0  # what an action may take: nothing waits for a port


class Mode(StrEnum):
    PLAIN = "plain"
    INTERNAL = "internal"
    WRONG = "wrong"  # the same, but another CA was installed
    CLOSED = "closed"  # plain HTTP, no pull without a login


class Reason(StrEnum):
    """Why a client is refused: a pattern of what it says, and of the cause that `clients check` then tells."""

    UNAUTHORIZED = r"unauthori[sz]ed|authentication required|invalid username/password|login prior to pull"
    DENIED = r"denied|account may not do this"
    UNTRUSTED = r"certificate signed by unknown authority"

    @property
    def cause(self) -> str:
        return "the client does not trust the CA" if self is Reason.UNTRUSTED else "credentials are missing or wrong"


@dataclass
class Use:
    subject: Subject
    mode: Mode
    site: Site
    endpoint: Endpoint
    machine: Machine
    results: Results
    version: str = ""

    @contextlib.contextmanager
    def begun(self) -> Iterator["Use"]:
        """The client installed, its daemon up, and what it is to push in its own store. Raises programs.Missing."""
        subject, machine = self.subject, self.machine
        with machine.entered():
            machine.provide(subject.programs)
            machine.variables |= subject.variables
            for path, text in subject.own.items():
                machine.write(path, text)
            if subject.place is Place.POD:
                # as a pod's DNS has it; not the line that the installer writes on a node, and takes away elsewhere
                machine.write("/etc/hosts", f"{self.endpoint.address} {self.endpoint.host} registry.registry\n")
            artifacts.tiny_image(machine.folder / "tiny.tar")
            machine.write("tiny/Chart.yaml", artifacts.CHART)
            self.write_outputs({})
            self.version = re.search(r"\d+\.\d+\.\d+(-beta[.\d]+)?", machine.do(subject.version).output)[0]
            self.results.entry(subject.name, client=subject.client, version=self.version, place=str(subject.place))
            self.install()
            if subject.daemon:
                machine.start(subject.daemon.split(), subject.ready)
            if subject.prepare:
                self.type(subject.prepare)
            yield self

    def write_outputs(self, accounts: Mapping[str, Mapping[str, str]]) -> None:
        outputs = {"endpoint": self.endpoint.output, "accounts": accounts}
        self.machine.write("outputs.json", json.dumps(outputs))

    def install(self, *options: str) -> None:
        where = ("--root", self.machine.folder, "--home", "/root", "--version", self.version)
        status, told = self._installer("install", *where, *options)
        assert status == 0, told

    def check(self) -> tuple[int, str]:
        """`clients check`, which asks the client itself: exit status, and what it tells."""
        return self._installer("check")

    def _installer(self, command: str, *options: str | Path) -> tuple[int, str]:
        """`python -m components.clients`, without the start of another Python."""
        subject, outputs = self.subject, self.machine.folder / "outputs.json"
        words = [command, subject.client, "--outputs", outputs, "--place", subject.place, *options]
        told = io.StringIO()
        with mock.patch.dict(os.environ, self.machine.variables):
            asked = clients.parser().parse_args([str(word) for word in words])
            return clients.run(asked, Console(file=told)), told.getvalue()

    def type(self, line: str, repository: str = "", password: str = "") -> float:
        """What the user types; how long it took. Raises Failed."""
        words = self.words(repository or self.own_repository, password)
        return self.machine.do(line.format(**words), password).seconds

    def words(self, repository: str, password: str) -> dict[str, object]:
        host = self.endpoint.host
        return {
            "host": host,
            "source": f"{host}/{self.subject.artifact}",
            "repository": f"{host}/{repository}",
            "target": f"{host}/{repository}:1",
            "image": f"{host}/{repository.partition('/')[0]}/tiny:1",  # whoever may push there may sign it
            "user": ACCOUNT,
            "password": password,
            "folder": self.machine.folder,
        }

    @property
    def password(self) -> str:
        return self.site.passwords[ACCOUNT]

    @property
    def own_repository(self) -> str:
        return "team/by-" + re.sub(r"[^a-z0-9]+", "-", self.subject.name.lower()).strip("-")

    def pushed(self) -> bool:
        """Whether something is in its repository, or below."""
        if self.subject.proof:
            return bool(self.type(self.subject.proof))
        with self.site.client(ACCOUNT) as anyone:
            found = anyone.request("GET", "/v2/_catalog").json()["repositories"]
        return any(f"{name}/".startswith(f"{self.own_repository}/") for name in found)

    def install_credentials(self, password: str = "") -> None:
        accounts = {ACCOUNT: {"username": ACCOUNT, "password": password or self.password}}
        self.write_outputs(accounts)
        self.install("--with-credentials", ACCOUNT)

    def succeeds(self, action: str, line: str, repository: str = "", password: str = "") -> None:
        """It works, and soon."""
        try:
            seconds = self.type(line, repository, password)
        except Failed as failed:
            self.record(action, False, 0, str(failed))
            raise
        self.record(action, seconds < SECONDS, seconds)
        assert seconds < SECONDS, f"{action} took {seconds:.1f} s"

    def refused(self, action: str, reason: Reason, line: str, repository: str = "", password: str = "") -> None:
        """It fails for this reason, soon, and without trying again."""
        began = time.monotonic()
        try:
            self.type(line, repository, password)
        except Failed as failed:
            seconds, said = time.monotonic() - began, str(failed)
        else:
            self.record(action, False, 0, "it was not refused")
            raise AssertionError(f"{action}: it was not refused")
        found = re.search(rf"({reason}).*", said, re.I)
        self.record(action, bool(found) and seconds < SECONDS, seconds, found[0] if found else said)
        assert found, f"refused for another reason than {reason}:\n{said}"
        assert seconds < SECONDS, f"the refusal took {seconds:.1f} s"
        assert "Retrying in" not in said, "it must not take the refusal for a passing failure"
        client = CLIENTS[self.subject.client]
        assert explain(False, said, seconds, client, self.endpoint, self.subject.place).cause == reason.cause

    def record(self, action: str, ok: bool, seconds: float, message: str = "") -> None:
        short = " ".join(message.split())[:160]
        self.results.record(self.subject.name, self.mode, action, ok, seconds, short)
