"""A new certificate is served without a restart, a reload or a failed handshake."""

import contextlib
import datetime
import json
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from lab import certmanager
from tests.cluster.encrypted import MODES, NAMESPACE, PROPAGATION_SECONDS, fingerprint, give, issuer, ready, served
from tests.cluster.harness import until
from tests.issuing import NOW

pytestmark = pytest.mark.cluster


class Handshakes:
    """Handshakes, one after the other; every failed one is kept."""

    def __init__(self, address: str) -> None:
        self.address, self.count, self.failures, self._done = address, 0, [], threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(0.02):  # often enough to meet the moment, and the machine has other work
            try:
                assert served(self.address), "refused"
                self.count += 1
            except Exception as error:  # every failure counts, of whatever kind
                self.failures.append(repr(error))


def test_a_changed_secret_is_served_within_90_seconds_without_a_restart_or_a_failed_handshake(site):
    ready(site, "secret")
    life, before = site.life(), fingerprint(site.address)
    with Handshakes(site.address) as handshakes:
        new = x509.load_pem_x509_certificate(give(site).encode()).fingerprint(hashes.SHA256())
        start = time.monotonic()
        until(lambda: fingerprint(site.address) == new, seconds=PROPAGATION_SECONDS, what="the changed Secret")
        took = time.monotonic() - start
    print(f"a changed Secret was served after {took:.0f} s; {handshakes.count} handshakes meanwhile")
    assert before != new
    assert handshakes.failures == []
    assert took <= 90
    assert site.life() == life


def test_a_certificate_that_cert_manager_renews_is_followed(site):
    ready(site, "cert-manager")
    life, before = site.life(), fingerprint(site.address)
    with Handshakes(site.address) as handshakes:
        certmanager.renew(NAMESPACE, "registry-issued-tls")
        start = time.monotonic()
        until(lambda: fingerprint(site.address) != before, seconds=PROPAGATION_SECONDS, what="the renewed certificate")
        print(f"a renewed Certificate was served after {time.monotonic() - start:.0f} s")
    assert handshakes.failures == []
    assert site.life() == life


def test_the_front_renews_its_acme_certificate_by_itself(site):
    ready(site, "acme", directory=site.acme.short)
    life, before = site.life(), served(site.address)
    with Handshakes(site.address) as handshakes:
        until(
            lambda: fingerprint(site.address) != before.fingerprint(hashes.SHA256()),
            seconds=420,
            what="the renewed ACME certificate, which lives for 5 minutes",
        )
    assert issuer(site.address) == MODES["acme"][1]
    assert handshakes.failures == []
    assert site.life() == life


def test_another_acme_server_is_asked_when_the_pod_starts_anew(site):
    ready(site, "acme", directory=site.acme.short)
    site.to("acme")
    site.kubectl.run("rollout", "restart", "deployment/registry", "-n", NAMESPACE)
    site.kubectl.run("rollout", "status", "deployment/registry", "-n", NAMESPACE, "--timeout=120s")

    def other_server():
        with contextlib.suppress(OSError):
            certificate = served(site.address)  # None while the Service has no pod that is ready
            hour = datetime.timedelta(hours=1)
            return certificate and certificate.not_valid_after_utc - certificate.not_valid_before_utc > hour

    until(other_server, seconds=PROPAGATION_SECONDS, what="a certificate of the server with the longer lifetimes")


def test_a_leaf_inside_its_renewal_window_is_replaced_by_the_next_up_and_the_ca_stays(site):
    ready(site, "internal")
    life, before, ca = site.life(), fingerprint(site.address), site.outputs["caCertificate"]
    certificate = site.outputs["certificate"]
    assert certificate["renewFrom"] < certificate["notAfter"]
    site.stack.pulumi("preview", "--expect-no-changes", "--stack", site.stack.name)
    # what time would do: the state says that the leaf ends tomorrow
    state = json.loads(site.stack.pulumi("stack", "export", "--stack", site.stack.name).stdout)
    [leaf] = [r for r in state["deployment"]["resources"] if r["urn"].endswith("::registry-leaf-certificate")]
    soon = (NOW + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    leaf["outputs"] |= {"validityEndTime": soon, "readyForRenewal": True}
    file = site.stack.folder / "state.json"
    file.write_text(json.dumps(state))
    site.stack.pulumi("stack", "import", "--file", str(file), "--stack", site.stack.name)
    file.unlink()
    shown = site.stack.pulumi("preview", "--stack", site.stack.name, "--json").stdout
    changed = {s["urn"].split("::")[-1] for s in json.loads(shown)["steps"] if s["op"] not in ("same", "read")}
    assert "registry-leaf-certificate" in changed
    assert not {name for name in changed if name.startswith("registry-ca")}
    site.stack.up()
    site.nudge()
    until(lambda: fingerprint(site.address) != before, seconds=PROPAGATION_SECONDS, what="the renewed leaf")
    assert site.outputs["caCertificate"] == ca
    assert site.life() == life
    site.stack.pulumi("preview", "--expect-no-changes", "--stack", site.stack.name)
