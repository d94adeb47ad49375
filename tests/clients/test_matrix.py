"""Every client against plain HTTP, the internal CA, and a CA that is not the registry's."""

import pytest

from components.render.clients import CLIENTS
from tests.clients.use import WRONG_PASSWORD, Mode, Reason, Use

pytestmark = pytest.mark.clients


class Served:
    """What holds in every mode that serves."""

    mode: Mode

    def test_anyone_pulls(self, use: Use) -> None:
        use.succeeds("pull", use.subject.pull)

    def test_the_installers_check_finds_the_registry(self, use: Use) -> None:
        asks(use)
        status, told = use.check()
        assert status == 0, told

    def test_a_push_without_a_login_is_refused(self, use: Use) -> None:
        only_pulls(use)
        use.machine.log_out()
        use.refused("refused", Reason.UNAUTHORIZED, use.subject.push, "team/refused")

    def test_a_login_is_accepted_and_a_push_with_it(self, use: Use) -> None:
        use.machine.log_out()
        if use.subject.login:
            use.succeeds("login", use.subject.login, password=use.password)
        else:
            use.install_credentials()
        if use.subject.push:
            use.succeeds("push", use.subject.push, use.own_repository)
            assert use.pushed()


class TestPlainHttp(Served):
    mode = Mode.PLAIN

    def test_a_login_with_a_wrong_password_is_refused(self, use: Use) -> None:
        if not (use.subject.login and use.subject.asks):
            pytest.skip("it asks nobody at the login")
        use.machine.log_out()
        use.refused("wrong password", Reason.UNAUTHORIZED, use.subject.login, password=WRONG_PASSWORD)

    def test_a_push_with_a_wrong_password_is_refused(self, use: Use) -> None:
        only_pulls(use)
        use.machine.log_out()
        use.install_credentials(WRONG_PASSWORD)
        use.refused("push with a wrong password", Reason.UNAUTHORIZED, use.subject.push, "team/refused")

    def test_a_push_with_the_installed_credentials_is_accepted_and_elsewhere_refused(self, use: Use) -> None:
        only_pulls(use)
        use.machine.log_out()
        use.install_credentials()
        use.succeeds("push with installed credentials", use.subject.push, use.own_repository)
        use.refused("push elsewhere", Reason.DENIED, use.subject.push, "other/refused")


class TestInternalCA(Served):
    mode = Mode.INTERNAL


class TestWrongCA:
    mode = Mode.WRONG

    def test_a_pull_is_refused(self, use: Use) -> None:
        if use.subject.falls_back:
            use.type(use.subject.pull)
            use.record("pull", False, 0, "takes plain HTTP")
        strict(use)
        use.refused("pull", Reason.UNTRUSTED, use.subject.pull)

    def test_the_installers_check_tells_of_the_ca(self, use: Use) -> None:
        strict(use)
        asks(use)
        status, told = use.check()
        assert (status, Reason.UNTRUSTED.cause in told) == (1, True), told

    def test_a_login_is_refused(self, use: Use) -> None:
        if not (use.subject.login and use.subject.asks):
            pytest.skip("it asks nobody at the login")
        use.refused("login", Reason.UNTRUSTED, use.subject.login, password=use.password)

    def test_a_push_is_refused(self, use: Use) -> None:
        strict(use)
        only_pulls(use)
        use.machine.log_out()
        use.install_credentials()
        use.refused("push", Reason.UNTRUSTED, use.subject.push, "team/refused")


class TestNoAnonymousPull:
    mode = Mode.CLOSED

    def test_the_installers_check_tells_of_the_login(self, use: Use) -> None:
        asks(use)
        status, told = use.check()
        assert (status, Reason.UNAUTHORIZED.cause in told) == (1, True), told

    def test_a_pull_is_refused_without_a_login_and_works_with_one(self, use: Use) -> None:
        use.refused("pull", Reason.UNAUTHORIZED, use.subject.pull)
        if use.subject.login:
            use.succeeds("login", use.subject.login, password=use.password)
        else:
            use.install_credentials()
        if use.subject.push:
            use.succeeds("pull with a login", use.subject.pull)
        else:  # its login is a pull with credentials
            use.refused("wrong password", Reason.UNAUTHORIZED, use.subject.login, password=WRONG_PASSWORD)


def test_nothing_was_left_of_what_was_refused(sites) -> None:
    for site in sites.values():
        with site.client("other") as anyone:
            found = anyone.request("GET", "/v2/_catalog").json()["repositories"]
        assert not [name for name in found if "refused" in name]


def only_pulls(use: Use) -> None:
    if not use.subject.push:
        pytest.skip("it pulls only")


def asks(use: Use) -> None:
    if not CLIENTS[use.subject.client].probe:
        pytest.skip("it has nothing that asks only")


def strict(use: Use) -> None:
    if use.subject.falls_back:
        pytest.skip("it takes plain HTTP then, as long as that is served")
