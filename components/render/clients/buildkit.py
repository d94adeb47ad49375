"""BuildKit and buildx, which hands BuildKit's file and the CA that it names to its builder (buildx util/confutil)."""

from functools import partial

import tomli_w

from ..endpoint import Endpoint
from .client import HOSTS, Client, Files, Place, named
from .go_containerregistry import AUTH_FILE, EVERYWHERE, login
from .profile import Script

CONFIG = "/etc/buildkit/buildkitd.toml"  # a rootless BuildKit reads ~/.config/buildkit/buildkitd.toml
CERTIFICATES = "/etc/buildkit/certs"
PIECE = "# A piece of buildkitd.toml, to be merged into what is there.\n"


def files(endpoint: Endpoint, place: Place, format_: str, program: str = "buildctl") -> Files:
    """buildkitd.toml (BuildKit's docs/buildkitd.toml.md), and what makes `program`, its client, trust the CA.

    It is the client that fetches the token for a push, with its own trust (session/auth/authprovider there).
    `http` is said in every mode: false takes back a former true, and without it localhost is taken for plain HTTP. It
    never stands with `insecure`, which makes BuildKit try https first.
    """
    table: dict[str, object] = {"http": not endpoint.https}
    found = {}
    if endpoint.https and endpoint.ca:
        folder = f"{CERTIFICATES}/{endpoint.host}"
        table["ca"] = [f"{folder}/ca.crt"]
        found = {f"{folder}/ca.crt": endpoint.ca, **Script(endpoint.host, program).trusting(folder)}
    return {CONFIG: PIECE + tomli_w.dumps({"registry": {endpoint.host: table}}), **found, **named(endpoint, place)}


CLIENTS = (
    Client(
        name="buildkit",
        title="BuildKit",
        render=files,
        places=EVERYWHERE,
        login=login,
        shared=(CONFIG, AUTH_FILE, HOSTS),
        finish="restart buildkitd: it reads its file when it starts",
    ),
    Client(
        name="buildx",
        title="docker buildx",
        render=partial(files, program="docker"),
        places=EVERYWHERE,
        login=login,
        shared=(CONFIG, AUTH_FILE, HOSTS),
        # the builder is a container: with the machine's network it has its localhost and its /etc/hosts as well
        finish=f"docker buildx create --use --driver-opt network=host --buildkitd-config {CONFIG}",
    ),
)
