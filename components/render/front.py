"""The front's configuration: who may do what, as a Caddyfile."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from .. import names
from ..settings import Account, Anonymous, Permission, Settings, TlsMode

# The grammar of the OCI distribution spec v1.1, section "Pulling manifests" (<name>, <reference>), and of
# digests, section "Digests" of the image spec. In RE2's syntax, which Caddy uses: matching takes linear time.
COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = rf"{COMPONENT}(?:/{COMPONENT})*"
TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
DIGEST = r"[A-Za-z0-9]+(?:[+._-][A-Za-z0-9]+)*:[0-9a-fA-F]{32,128}"
SESSION = r"[A-Za-z0-9._=-]+"  # an upload's, given out by the registry

# Each is matched against "PATH METHOD"; the first group is the repository's name. In every one of them the name
# ends in only one possible place, which is the place where the registry ends it too.
TOKEN = rf"^{names.TOKEN_PATH} (?:GET|HEAD)$"
PULL = (
    rf"^/v2(?:/?|/_catalog|/{NAME}/"
    rf"(?:tags/list|manifests/(?:{TAG}|{DIGEST})|blobs/{DIGEST}|referrers/{DIGEST})) (?:GET|HEAD)$"
)
PUSH = (
    rf"^/v2/({NAME})/(?:manifests/(?:{TAG}|{DIGEST}) PUT"
    rf"|blobs/uploads/ POST|blobs/uploads/{SESSION} (?:GET|HEAD|PATCH|PUT|DELETE))$"
)
DELETE = rf"^/v2/({NAME})/(?:manifests/(?:{TAG}|{DIGEST})|blobs/{DIGEST}) DELETE$"

# Where the pod has the certificate of each mode that has one in a Secret. All are mounted in every mode, so that no
# change of the mode changes the pod.
CERTIFICATE_FOLDERS = {TlsMode.SECRET: "given", TlsMode.CERT_MANAGER: "issued", TlsMode.INTERNAL: "internal"}

TOKEN_SECONDS = 300
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # a Caddyfile is not HTML; `_token` guards what is put into it
)


@dataclass(frozen=True, kw_only=True)
class Listen:
    """Where the front listens and where it finds the registry. The defaults are the pod's."""

    host: str = "0.0.0.0 ::"
    http: int = names.FRONT_HTTP_PORT
    https: int = names.FRONT_HTTPS_PORT
    metrics: int = names.METRICS_PORT
    certificate: int = names.CERTIFICATE_PORT
    redirect: int = names.HTTPS_PORT
    registry: int = names.REGISTRY_PORT
    registry_debug: int = names.REGISTRY_DEBUG_PORT


def caddyfile(
    settings: Settings,
    hashes: Sequence[str],
    listen: Listen = Listen(),
    *,
    certificate_path: str = "",
    eab_mac_key: str = "",
    directory: str = names.FRONT_DIRECTORY,
    certificates: str = names.CERTIFICATES_DIRECTORY,
    log_output: str = "stdout",
) -> str:
    """The front's Caddyfile. It is a secret, as are the arguments that say so.

    For Caddy v2.11.3 and newer: before it, `vars_regexp` expanded placeholders that a request brought along
    (GHSA-wwhq-w58m-w29c).

    `hashes`: the accounts' bcrypt hashes in the order of `settings.accounts`. Secret.
    `certificate_path`: a long random text, needed where the certificate is in a Secret. Secret.
    `eab_mac_key`: of `settings.tls.eab`. Secret.
    `directory`, `certificates`: where the pod has this file and the certificates.
    `log_output`: Caddy's name of a log's destination ("stdout", "discard", "stderr").
    Raises ValueError when a value could end the token that it is put into.
    """
    return _ENVIRONMENT.get_template("Caddyfile.j2").render(
        accounts=[
            {"name": _token(account.name), "hash": _token(hashed)}
            for account, hashed in zip(settings.accounts, hashes, strict=True)
        ],
        account_prefixes="|".join(credential_prefix(account.name) for account in settings.accounts),
        certificate_folders=certificate_folders(settings.tls.mode),
        certificate_path=_token(certificate_path) if settings.tls.on else "",
        certificates=certificates,
        directory_ca_file=f"{directory}/{names.DIRECTORY_CA_FILE}",
        eab=settings.tls.eab and {"key_id": _token(settings.tls.eab.key_id), "mac_key": _token(eab_mac_key)},
        redirect_port="" if listen.redirect == names.HTTPS_PORT else f":{listen.redirect}",
        tls=settings.tls,
        anonymous_pull=settings.anonymous is Anonymous.PULL,
        grants=grants(settings.accounts),
        listen=listen,
        live_path=names.LIVE_PATH,
        log_output=_token(log_output),
        operations={"token": TOKEN, "pull": PULL, "push": PUSH, "delete": DELETE},
        ready_path=names.READY_PATH,
        registry_debug=f"127.0.0.1:{listen.registry_debug}",
        token_path=names.TOKEN_PATH,
        token_seconds=TOKEN_SECONDS,
        upstream=f"127.0.0.1:{listen.registry}",
    )


def certificate_folders(mode: TlsMode) -> list[str]:
    """Where to look for a certificate, in this order.

    The mode's own comes first, and twice: between its two files kubelet may just have put the new ones, and a pair that
    does not match is none. The others bridge the time until the own one is there after a change of the mode.
    """
    own = [CERTIFICATE_FOLDERS[mode]] if mode in CERTIFICATE_FOLDERS else []
    return [*own, *own, *(folder for folder in CERTIFICATE_FOLDERS.values() if folder not in own)]


def grants(accounts: Sequence[Account]) -> str:
    """A regular expression that matches "PERMISSION ACCOUNT REPOSITORY" where the account has that permission there."""
    lines = []
    for account in accounts:
        deletes = Permission.DELETE in account.permissions
        for permission in account.permissions:
            if permission is not Permission.PULL:
                lines.append((permission, account.name, account.repositories))
        if Permission.PUSH in account.permissions and not deletes:
            lines.append((Permission.DELETE, account.name, smoke_repositories(account)))
    alternatives = [
        f"{permission} {re.escape(name)} (?:{'|'.join(map(_pattern, repositories))})"
        for permission, name, repositories in lines
        if repositories
    ]
    return f"^(?:{'|'.join(alternatives)})$"  # with no alternative it matches the empty text only, which is no grant


def smoke_repositories(account: Account) -> tuple[str, ...]:
    """The repositories that the smoke test uses with this account: one below each of its prefixes."""
    return tuple(
        pattern[:-1] + names.SMOKE_REPOSITORY
        for pattern in account.repositories
        if pattern == "*" or pattern.endswith(("/*", "-*", ".*", "_*"))
    )


def credential_prefix(account: str) -> str:
    """A regular expression for what base64("ACCOUNT:…") begins with, whatever follows (RFC 7617, section 2)."""
    data = f"{account}:".encode()
    whole, rest = divmod(len(data), 3)
    prefix = base64.b64encode(data[: whole * 3]).decode()
    if rest:
        tail = base64.b64encode(data[whole * 3 :]).decode().rstrip("=")
        # The last character holds 6 bits, of which the account's name settles 2 (after one byte) or 4 (after two).
        first = BASE64.index(tail[-1])
        prefix += tail[:-1] + "[" + BASE64[first : first + (16 if rest == 1 else 4)] + "]"
    return prefix.replace("+", r"\+")


def _pattern(repository: str) -> str:
    return re.escape(repository.removesuffix("*")) + ("[^ ]*" if repository.endswith("*") else "")


def _token(value: str) -> str:
    """The value. Raises ValueError where it is not one plain Caddyfile token, which settings never let in."""
    if not re.fullmatch(r"[A-Za-z0-9$./_:@+~=-]+", value):
        raise ValueError("a value in the front's configuration has a character that could end its token")
    return value
