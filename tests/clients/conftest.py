"""Three registries on a loopback of their own, under the name and on the ports that they have in a cluster."""

import contextlib
import os
from collections.abc import Iterator

import pytest

from components.render.endpoint import Endpoint
from components.render.front import Listen
from lab import programs
from tests.clients import artifacts, namespaces
from tests.clients.machine import Machine
from tests.clients.results import Results
from tests.clients.subjects import SUBJECTS
from tests.clients.use import ACCOUNT, Mode, Use
from tests.issuing import new_certificate, new_key
from tests.live.encrypting import issue
from tests.live.serving import Site, free_ports, serving

HOST = "registry.registry.svc.cluster.local"
ADDRESSES = {Mode.PLAIN: "10.96.0.50", Mode.INTERNAL: "10.96.0.51", Mode.CLOSED: "10.96.0.52"}
ARGUMENTS = {
    Mode.PLAIN: {},
    Mode.INTERNAL: {"tls": {"mode": "internal"}},
    Mode.CLOSED: {"anonymous": "none"},
}
ACCOUNTS = [{"name": ACCOUNT, "repositories": ["team/*"]}, {"name": "other", "repositories": ["other/*"]}]


@pytest.fixture(scope="package")
def network() -> Iterator[None]:
    if os.geteuid():
        pytest.skip("a network and mounts of one's own need root")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(namespaces.network(*ADDRESSES.values()))
        except OSError as error:
            pytest.skip(f"this machine allows no network of one's own: {error}")
        yield


@pytest.fixture(scope="package")
def sites(network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Mode, Site]]:
    """Each has an image and a chart that anyone, or any account, may pull."""
    with contextlib.ExitStack() as stack:
        found = {}
        for mode, address in ADDRESSES.items():
            folder = tmp_path_factory.mktemp(mode)
            metrics, certificate, registry, debug = free_ports(4)
            listen = Listen(
                host=address,
                http=80,
                https=443,
                metrics=metrics,
                certificate=certificate,
                registry=registry,
                registry_debug=debug,
            )
            issue(folder, "internal", [HOST, address])
            site = stack.enter_context(serving(folder, {"accounts": ACCOUNTS, **ARGUMENTS[mode]}, listen=listen))
            with site.client(ACCOUNT) as pusher, site.client("other") as other:
                artifacts.push_image(pusher, "team/tiny", "1")
                artifacts.push_chart(pusher, "team/charts/tiny")
                artifacts.push_image(other, "other/tiny", "1")
            found[mode] = site
        yield found | {Mode.WRONG: found[Mode.INTERNAL]}


@pytest.fixture(scope="package")
def results_of_this_run(network: None) -> Iterator[Results]:
    found = Results()
    yield found
    found.write()


@pytest.fixture(scope="class", params=SUBJECTS, ids=lambda subject: subject.name)
def use(
    request: pytest.FixtureRequest,
    sites: dict[Mode, Site],
    results_of_this_run: Results,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Use]:
    """A client in the mode of the test's class."""
    subject, mode = request.param, request.cls.mode
    site = sites[mode]
    if site.settings.tls.on and not subject.trusts:
        pytest.skip("it is for plain HTTP only")
    ca = new_certificate(new_key(), "another CA") if mode is Mode.WRONG else (site.folder / "ca.crt").read_text()
    endpoint = Endpoint(host=HOST, address=site.listen.host)
    if site.settings.tls.on:
        endpoint = Endpoint(host=HOST, address=site.listen.host, https=True, ca=ca, verifies_address=True)
    used = Use(subject, mode, site, endpoint, Machine(tmp_path_factory.mktemp("machine")), results_of_this_run)
    try:
        with used.begun():
            yield used
    except programs.Missing as missing:
        pytest.skip(str(missing))
