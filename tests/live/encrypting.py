"""A front with TLS on loopback, with a certificate where the pod would have it."""

from pathlib import Path

from components.render import distribution, front
from components.resolve import resolve
from tests.conftest import bcrypt_like
from tests.issuing import new_certificate, new_key
from tests.live.serving import free_ports

PATH = "a-path-that-nobody-guesses"


def render_encrypted(folder: Path, **tls: str) -> front.Listen:
    """The files of a registry in internal mode, and CA, certificate and key beside them."""
    http, https, metrics, certificate, registry, debug = free_ports(6)
    listen = front.Listen(
        host="127.0.0.1",
        http=http,
        https=https,
        metrics=metrics,
        certificate=certificate,
        redirect=https,
        registry=registry,
        registry_debug=debug,
    )
    settings = resolve({"tls": {"mode": "internal", **tls}})
    issue(folder, "internal")
    text = front.caddyfile(
        settings,
        [bcrypt_like("push")],
        listen,
        certificate_path=PATH,
        certificates=str(folder / "certificates"),
        log_output="discard",
    )
    (folder / "Caddyfile").write_text(text)
    (folder / "config.yml").write_text(distribution.config(listen, str(folder / "data")))
    return listen


def issue(folder: Path, source: str) -> str:
    """A new CA in `ca.crt` with a new certificate in the place of `source`. The certificate, PEM."""
    ca_key, key = new_key(), new_key()
    ca = new_certificate(ca_key, "ca")
    certificate = new_certificate(key, "registry", ["127.0.0.1", "localhost"], issuer=(ca_key, ca))
    own = folder / "certificates" / source
    own.mkdir(parents=True, exist_ok=True)
    (own / "tls.crt").write_text(certificate)
    (own / "tls.key").write_text(key)
    (folder / "ca.crt").write_text(ca)
    return certificate
