"""From every mode of encryption to every other, with a push and pulls under way."""

import contextlib
import functools
import hashlib
import itertools
import os
import threading
import time

import httpx
import pytest

from components.protocol import Client
from tests.cluster.encrypted import MODES, PROPAGATION_SECONDS, Site, issuer, ready
from tests.cluster.harness import until

pytestmark = pytest.mark.cluster

BLOB_BYTES = 1 << 30
CHUNK = os.urandom(1 << 20)
# every ordered pair once, as one walk
WALK = (
    *("off", "internal", "off", "secret", "off", "cert-manager", "off", "acme", "internal", "secret", "internal"),
    *("cert-manager", "internal", "acme", "secret", "cert-manager", "secret", "acme", "cert-manager", "acme", "off"),
)


class Load:
    """A push of 1 GB that does not end before it is told to, and pulls without a pause, each on a new connection."""

    def __init__(self, site: Site, https: bool) -> None:
        self.address, self.login = site.address, ("ci", site.outputs["accounts"]["ci"]["password"])
        self.push_url = f"{'https' if https else 'http'}://{self.address}"
        self.failures: list[str] = []
        self.pulls = self.pushed = 0
        self.done, self.release, self.full = threading.Event(), threading.Event(), threading.Event()

    def __enter__(self):
        with Client(f"http://{self.address}", self.login) as client:
            self.small = client.push_blob("load/pulled", CHUNK)
        self.threads = [threading.Thread(target=self._push), threading.Thread(target=self._pull)]
        for thread in self.threads:
            thread.start()
        assert self.full.wait(120), f"the push has not come far: {self.failures}"
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self.threads[0].join(120)
        self.done.set()
        self.threads[1].join(60)

    def _content(self):
        whole = BLOB_BYTES // len(CHUNK)
        for number in range(whole):
            if number == whole - 100:
                self.full.set()
            if number >= whole - 100 and not self.release.is_set():
                self.release.wait(0.2)  # on and on, but slowly
                if number == whole - 1:
                    self.release.wait(180)
            self.pushed += len(CHUNK)
            yield CHUNK

    def _push(self) -> None:
        try:
            with Client(self.push_url, self.login, timeout=200, verify=False) as client:
                location = httpx.URL(client.start_upload("load/pushed"))
                client.request(
                    "PUT",
                    str(location.copy_merge_params({"digest": blob_digest()})),
                    content=self._content(),
                    headers={"Content-Length": str(BLOB_BYTES)},
                )
        except Exception as error:  # every failure counts, of whatever kind
            self.failures.append(f"push: {error!r}")
            self.full.set()

    def _pull(self) -> None:
        while not self.done.is_set():
            try:
                with Client(f"http://{self.address}", timeout=30) as client:
                    if client.pull_blob("load/pulled", self.small) != CHUNK:
                        self.failures.append("pull: other content")
                self.pulls += 1
            except Exception as error:
                self.failures.append(f"pull: {error!r}")


@functools.cache
def blob_digest() -> str:
    whole = hashlib.sha256()
    for _ in range(BLOB_BYTES // len(CHUNK)):
        whole.update(CHUNK)
    return f"sha256:{whole.hexdigest()}"


@pytest.fixture(scope="module")
def table():
    rows: list[str] = []
    yield rows
    print("\n| from | to | push over | pulls meanwhile | failed | pod | served after |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))


@pytest.mark.parametrize(("before", "after"), list(itertools.pairwise(WALK)), ids=lambda mode: mode)
def test_going_from_one_mode_to_another_loses_nothing(before, after, site, table):
    want = MODES[after][1]
    if issuer(site.address) != MODES[before][1]:
        ready(site, before)
    life = site.life()
    with Load(site, https=before != "off") as load:
        site.to(after)
        start = time.monotonic()
        site.nudge()

        def arrived():
            with contextlib.suppress(OSError):
                return issuer(site.address) == want

        until(arrived, seconds=PROPAGATION_SECONDS, what=f"the certificate of {after}")
        took = time.monotonic() - start
    assert load.failures == []
    assert load.pushed == BLOB_BYTES
    assert site.life() == life, "a reload is enough: the pod stays"
    with Client(f"http://{site.address}", timeout=60) as client:
        assert client.request("HEAD", f"/v2/load/pushed/blobs/{blob_digest()}").headers["Content-Length"] == str(
            BLOB_BYTES
        )
    scheme = "https" if before != "off" else "http"
    table.append(f"| {before} | {after} | {scheme} | {load.pulls} | {len(load.failures)} | same | {took:.1f} s |")
