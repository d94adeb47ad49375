"""Asks a real client whether it reaches the registry, and explains what it says when it does not."""

import re
import subprocess
import time
from dataclasses import dataclass

from . import names
from .render.clients import Client, Place
from .render.endpoint import Endpoint

PROBE_SECONDS = 90
SLOW_SECONDS = 5
PROFILES = 'for file in /etc/profile.d/50-*.sh; do [ ! -r "$file" ] || . "$file"; done; "$@"'


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why a client fails. `says`: how clients put it; `remedy` may name {client}, {host}, {place} and {address}."""

    name: str
    says: str
    remedy: str


INSTALL = "python -m components.clients install {client} --place {place}"
CAUSES = (
    Cause(
        name="the client's own daemon does not answer",
        says=r"cannot connect to the docker daemon|containerd\.sock|docker\.sock|buildkitd\.sock|runtime.?endpoint",
        remedy="start it, and be in a group that may talk to it, or root",
    ),
    Cause(
        name="plain HTTP, and the client was not told",
        says=r"server gave http response to https client|first record does not look like a tls handshake|"
        r"wrong version number",
        remedy=INSTALL,
    ),
    Cause(
        name="the certificate is for another name",
        says=r"certificate is (not )?valid for|doesn't contain any IP SANs|hostname mismatch",
        remedy="reach it as {host}, or add the name to registry:tls.hosts and run `pulumi up`",
    ),
    Cause(
        name="the client does not trust the CA",
        says=r"x509|unknown authority|certificate verify failed|failed to verify certificate|get local issuer",
        remedy=f"{INSTALL}; after a change of the CA, again",
    ),
    Cause(
        name="no DNS knows the name",
        says=r"no such host|name resolution|server misbehaving|could not resolve|name or service not known",
        remedy="only pods know the cluster's names: install {client} with --place node on a node (it adds the address),"
        " with --place outside elsewhere, and forward a port",
    ),
    Cause(
        name="nothing listens there",
        says=r"connection refused|connect: connection reset",
        remedy="kubectl -n NAMESPACE get pods,endpointslices: is the registry's pod ready? With --place outside:"
        " does the port-forward run?",
    ),
    Cause(
        name="no answer in time",
        says=r"i/o timeout|deadline exceeded|timed out|client\.timeout|no route to host|network is unreachable|"
        r"tls handshake timeout",
        remedy="packets to {address} are dropped: does the Service declare port 443 as well as 80, as this program's"
        " does? Does a NetworkPolicy or a firewall stand between?",
    ),
    Cause(
        name="credentials are missing or wrong",
        says=r"unauthori[sz]ed|authentication required|invalid username/password|"
        r"login prior to pull|account may not do this|access denied|denied:|forbidden|\b401\b|\b403\b",
        remedy="log in, or install {client} with --with-credentials ACCOUNT; a changed password holds after a minute",
    ),
)
# The registry's own answer, that there is no such image; and how some clients put it, who say as much of other things.
ANSWERED = re.compile(r"manifest.unknown|name.unknown|not.known to registry", re.I)
NOT_FOUND = re.compile(r"not found|no such manifest|\b404\b", re.I)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`cause` None: it reaches the registry. `said`: the client's last words."""

    seconds: float
    said: str = ""
    cause: str | None = None
    remedy: str = ""


def reach(client: Client, endpoint: Endpoint, place: Place) -> Finding:
    """Runs the client's probe as whoever uses it would, shell snippets included."""
    reference = f"{endpoint.host}/{names.SMOKE_REPOSITORY}:absent"
    command = client.probe(reference)
    start = time.monotonic()
    try:
        done = subprocess.run(
            ["sh", "-c", PROFILES, "sh", *command],
            input="\n",  # docker asks for a name where it is refused, and at the end of a file waits on
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        cause = next(cause for cause in CAUSES if "timed out" in cause.says)
        return _failed(cause, PROBE_SECONDS, "", client, endpoint, place)
    seconds = time.monotonic() - start
    said = f"{done.stdout}{done.stderr}".strip()
    if done.returncode == 127:
        return Finding(seconds=seconds, said=said, cause=f"there is no {command[0]} here", remedy="install it first")
    return explain(done.returncode == 0, said, seconds, client, endpoint, place)


def explain(ok: bool, said: str, seconds: float, client: Client, endpoint: Endpoint, place: Place) -> Finding:
    """What a client's words mean."""
    last = said.splitlines()[-1] if said else ""
    if ok or ANSWERED.search(said):
        return Finding(seconds=seconds, said=last)
    for cause in CAUSES:
        if re.search(cause.says, said, re.I):
            return _failed(cause, seconds, said, client, endpoint, place)
    if NOT_FOUND.search(said):
        return Finding(seconds=seconds, said=last)
    return Finding(seconds=seconds, said=last, cause="something else", remedy="the client's own words are above")


def _failed(cause: Cause, seconds: float, said: str, client: Client, endpoint: Endpoint, place: Place) -> Finding:
    line = next((line for line in said.splitlines() if re.search(cause.says, line, re.I)), said)
    remedy = cause.remedy.format(client=client.name, host=endpoint.host, place=place, address=endpoint.address)
    return Finding(seconds=seconds, said=line, cause=cause.name, remedy=remedy)
