"""PushAccounts: who may push, with a password each."""

import base64
import json
from collections.abc import Mapping, Sequence

import bcrypt
import pulumi
import pulumi_random as random

from . import names
from .args import AccountArgs
from .resolve import resolve
from .settings import Account

# State is a contract: a changed argument would make every password anew.
PASSWORD_LENGTH = 32
BCRYPT_COST = 10  # about 50 ms a check, and the front asks once for each pair of account and password
SALT_BYTES = 16


class PushAccounts(pulumi.ComponentResource):
    """A generated password (or the given one) and its bcrypt hash for each account.

    Both stay the same over runs; a higher `rotation` makes them new. Usable without a Registry. It owns no
    Kubernetes object: the cluster sees the hashes only, in the Secret of whoever checks passwords.
    """

    passwords: pulumi.Output[Mapping[str, str]]
    """Account -> password. Secret."""
    hashes: pulumi.Output[Mapping[str, str]]
    """Account -> bcrypt hash. Secret."""

    def __init__(
        self, name: str, args: Sequence[AccountArgs | Account], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Raises ConfigError, before anything is registered, for a mistake in `args`."""
        accounts = _resolved(args)
        super().__init__(f"{names.TYPE_PREFIX}:PushAccounts", name, {}, opts)
        passwords: dict[str, pulumi.Input[str]] = {}
        hashes: dict[str, pulumi.Input[str]] = {}
        for account in accounts:
            passwords[account.name], hashes[account.name] = self._account(f"{name}-{account.name}", account)
        self.passwords = pulumi.Output.secret(pulumi.Output.all(**passwords))
        self.hashes = pulumi.Output.secret(pulumi.Output.all(**hashes))
        self.register_outputs({"passwords": self.passwords, "hashes": self.hashes})

    def _account(self, name: str, account: Account) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        child = pulumi.ResourceOptions(parent=self)
        keepers = {"rotation": str(account.rotation)}
        if account.password is None:
            generated = random.RandomPassword(
                f"{name}-password", length=PASSWORD_LENGTH, special=False, keepers=keepers, opts=child
            )
            return generated.result, generated.bcrypt_hash
        salt = random.RandomBytes(f"{name}-salt", length=SALT_BYTES, keepers=keepers, opts=child)
        password = pulumi.Output.secret(account.password)
        return password, pulumi.Output.all(password, salt.base64).apply(lambda pair: bcrypt_hash(*pair))


def bcrypt_hash(password: str, salt: str) -> str:
    """The bcrypt hash of a password, with 16 bytes of salt in base64: the same on every run.

    Raises ValueError when the password is longer than the 72 bytes that bcrypt reads.
    """
    # bcrypt's own base64 has another alphabet (OpenBSD's crypt_blowfish); 22 characters hold the 16 bytes
    standard = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    bcrypts = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    setting = f"$2b${BCRYPT_COST:02}$".encode() + salt.encode()[:22].translate(bytes.maketrans(standard, bcrypts))
    return bcrypt.hashpw(password.encode(), setting).decode()


def credentials(hosts: Sequence[str], passwords: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What each account's holder needs: {account: {username, password, dockerConfigJson}}. All of it is secret.

    `hosts`: the names by which images may call the registry.
    """
    return {name: _credential(hosts, name, password) for name, password in sorted(passwords.items())}


def _credential(hosts: Sequence[str], name: str, password: str) -> dict[str, str]:
    auth = base64.b64encode(f"{name}:{password}".encode()).decode()
    entry = {"username": name, "password": password, "auth": auth}
    return {
        "username": name,
        "password": password,
        # the shape of ~/.docker/config.json and of a Secret of type kubernetes.io/dockerconfigjson
        "dockerConfigJson": json.dumps({"auths": dict.fromkeys(hosts, entry)}),
    }


def _resolved(args: Sequence[AccountArgs | Account]) -> tuple[Account, ...]:
    if all(isinstance(account, Account) for account in args):
        return tuple(args)  # a Registry has resolved them
    return resolve({"accounts": args}).accounts
