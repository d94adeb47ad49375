"""config.json and auth.json: the credentials of Docker, and of everything that reads its file."""

import base64
import json

from .client import Login


def auths(host: str, account: Login) -> str:
    """The file with this one account in it, for images that are named after `host`."""
    encoded = base64.b64encode(f"{account.username}:{account.password}".encode()).decode()
    return json.dumps({"auths": {host: {"auth": encoded}}}, indent=2) + "\n"
