"""The real front with the rendered files and TLS."""

import contextlib
import socket
import ssl
import warnings

import httpx
import pytest
from cryptography import x509

from lab import serve
from tests.issuing import new_key
from tests.live.encrypting import issue, render_encrypted
from tests.live.serving import CERTIFICATE_PATH as PATH


@pytest.fixture
def started(tmp_path):
    """Starts a front with these keys of `tls`; gives its ports."""
    with contextlib.ExitStack() as stack:

        def start(**tls):
            listen = render_encrypted(tmp_path, **tls)
            stack.enter_context(serve.running(tmp_path, listen.http, listen.https, listen.registry))
            return listen

        yield start


def trusting(folder):
    return ssl.create_default_context(cafile=str(folder / "ca.crt"))


def connect(port, context):
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def served(port):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with connect(port, context) as connection:
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))


def test_a_client_that_trusts_the_ca_is_served_and_another_is_not(started, tmp_path):
    listen = started()
    url = f"https://127.0.0.1:{listen.https}/v2/"
    answer = httpx.get(url, verify=trusting(tmp_path), trust_env=False)
    assert answer.status_code == 401
    assert f'realm="https://127.0.0.1:{listen.https}/token"' in answer.headers["WWW-Authenticate"]
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        httpx.get(url, trust_env=False)


def test_tls_1_2_is_the_floor_and_http_2_is_spoken(started, tmp_path):
    listen = started()
    for version, fits in (("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)):
        context = trusting(tmp_path)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.set_alpn_protocols(["h2", "http/1.1"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        if fits:
            with connect(listen.https, context) as connection:
                assert connection.selected_alpn_protocol() == "h2"
        else:
            with pytest.raises(ssl.SSLError):
                connect(listen.https, context)


def test_a_changed_certificate_is_served_at_the_next_handshake(started, tmp_path):
    listen = started()
    for _ in range(3):
        certificate = x509.load_pem_x509_certificate(issue(tmp_path, "internal").encode())
        assert served(listen.https) == certificate


def test_a_pair_that_does_not_match_is_passed_over(started, tmp_path):
    listen = started()
    other = x509.load_pem_x509_certificate(issue(tmp_path, "given").encode())
    (tmp_path / "certificates/internal/tls.key").write_text(new_key())
    assert served(listen.https) == other, "what kubelet is just changing must not break a handshake"


def test_the_page_with_the_key_answers_to_its_path_alone(started):
    listen = started()
    base = f"http://127.0.0.1:{listen.certificate}"
    assert "PRIVATE KEY" in httpx.get(f"{base}/{PATH}/internal", trust_env=False).text, "or the test shows nothing"
    for path in ("/", f"/{PATH}", "/internal", f"/{PATH.upper()}/internal", f"/x/../{PATH}x/internal", "/tls.key"):
        answer = httpx.get(f"{base}{path}", trust_env=False)
        assert (answer.status_code, "PRIVATE" in answer.text) == (404, False), path
    for port in (listen.http, listen.metrics):
        assert "PRIVATE" not in httpx.get(f"http://127.0.0.1:{port}/{PATH}/internal", trust_env=False).text


@pytest.mark.parametrize(("plaintext", "status"), [("serve", 401), ("redirect", 308), ("closed", 426)])
def test_port_80_does_what_it_is_told_and_always_answers_the_probes(plaintext, status, started):
    listen = started(plaintext=plaintext)
    base = f"http://127.0.0.1:{listen.http}"
    answer = httpx.get(f"{base}/v2/", trust_env=False)
    assert answer.status_code == status
    if plaintext == "redirect":
        assert answer.headers["Location"] == f"https://127.0.0.1:{listen.https}/v2/"
        assert httpx.post(f"{base}/v2/a/blobs/uploads/", trust_env=False).status_code == 308, "which keeps the method"
    if plaintext == "closed":
        assert answer.json()["errors"][0]["message"] == "plain HTTP is closed here, use https"
    for probe in ("/livez", "/readyz"):
        assert httpx.get(base + probe, trust_env=False).status_code == 200
