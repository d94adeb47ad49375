"""`python -m components.local DIR`: the files of a registry on loopback, without a cluster.

Writes what the pod would have, rendered from a stack file: Caddyfile, config.yml, and outputs.json with the generated
passwords, for the smoke test. Whoever runs the two programs on them has the same front and the same registry.
"""

import argparse
import json
import secrets
import sys
from pathlib import Path
from typing import Any

import bcrypt
import yaml

from .accounts import BCRYPT_COST, PASSWORD_LENGTH, credentials
from .reader import ConfigError
from .render import distribution, front
from .settings import Settings
from .stack import parse

LOOPBACK = "127.0.0.1"


def write(directory: Path, settings: Settings, listen: front.Listen) -> dict[str, Any]:
    """Writes the files, readable by their owner alone; gives the outputs, as a stack would."""
    passwords = {account.name: secrets.token_urlsafe(PASSWORD_LENGTH) for account in settings.accounts}
    hashes = [
        bcrypt.hashpw(passwords[a.name].encode(), bcrypt.gensalt(BCRYPT_COST)).decode() for a in settings.accounts
    ]
    host = f"{listen.host}:{listen.http}"
    outputs = {
        "host": host,
        "url": f"http://{host}",
        "clusterIp": listen.host,
        "namespace": settings.namespace,
        "service": settings.service.name,
        "policy": settings.policy,
        "accounts": credentials([host], passwords),
    }
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in {
        "Caddyfile": front.caddyfile(settings, hashes, listen),
        "config.yml": distribution.config(listen, str(directory / "data")),
        "outputs.json": json.dumps(outputs, indent=2),
    }.items():
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(text)
    return outputs


def from_stack_file(path: Path) -> Settings:
    """Settings of a stack file without encrypted values. Raises ConfigError, OSError, yaml.YAMLError."""
    config = (yaml.safe_load(path.read_text()) or {}).get("config", {})
    return parse(
        {
            key.partition(":")[2]: value if isinstance(value, str) else json.dumps(value)
            for key, value in config.items()
            if key.startswith("registry:")
        }
    ).settings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m components.local", description=__doc__.split("\n")[2])
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--stack-file", type=Path, default=Path("Pulumi.dev.yaml"), help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8080, help="of the front; default: %(default)s")
    options = parser.parse_args()
    try:
        settings = from_stack_file(options.stack_file)
        outputs = write(options.directory.resolve(), settings, front.Listen(host=LOOPBACK, http=options.port))
    except (ConfigError, OSError, yaml.YAMLError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.directory}: files of a registry at {outputs['url']}; passwords in outputs.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
