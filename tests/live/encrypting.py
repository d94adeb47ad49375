"""A front with TLS on loopback, with a certificate where the pod would have it."""

from collections.abc import Sequence
from pathlib import Path

from components.render import distribution, front
from components.resolve import resolve
from tests.conftest import bcrypt_like
from tests.issuing import new_certificate, new_key
from tests.live.serving import CERTIFICATE_PATH, listen_on_loopback


def render_encrypted(folder: Path, **tls: str) -> front.Listen:
    """The files of a registry in internal mode, and CA, certificate and key beside them."""
    listen = listen_on_loopback()
    settings = resolve({"tls": {"mode": "internal", **tls}})
    issue(folder, "internal")
    text = front.caddyfile(
        settings,
        [bcrypt_like("push")],
        listen,
        certificate_path=CERTIFICATE_PATH,
        certificates=str(folder / "certificates"),
        log_output="discard",
    )
    (folder / "Caddyfile").write_text(text)
    (folder / "config.yml").write_text(distribution.config(listen, str(folder / "data")))
    return listen


def issue(folder: Path, source: str, hosts: Sequence[str] = ("127.0.0.1", "localhost")) -> str:
    """A new CA in `ca.crt` with a new certificate in the place of `source`. The certificate, PEM."""
    ca_key, key = new_key(), new_key()
    ca = new_certificate(ca_key, "ca")
    certificate = new_certificate(key, "registry", hosts, issuer=(ca_key, ca))
    own = folder / "certificates" / source
    own.mkdir(parents=True, exist_ok=True)
    (own / "tls.crt").write_text(certificate)
    (own / "tls.key").write_text(key)
    (folder / "ca.crt").write_text(ca)
    return certificate
