"""What doctor makes of what the service on its host says."""

from orderstream.doctor.admin import Asked, Health, check_service
from tests.doctor.looks import WRONG, amiss

WHERE = "127.0.0.1:8081"


def test_every_reason_of_a_service_that_is_not_ready_is_a_finding() -> None:
    """Named, since each has another way out."""
    checks = {"database": "ok", "follower": "it cannot listen for events: no", "draining": "this process is stopped"}
    findings = check_service(Asked(False, 1024, Health(checks)), WHERE)
    assert [finding.what for finding in findings] == [
        "the one that runs here is not ready: follower: it cannot listen for events: no",
        "the one that runs here is not ready: draining: this process is stopped",
    ]


def test_service_that_takes_connections_and_says_nothing_is_found() -> None:
    """As one that was sent SIGSTOP."""
    [(key, what)] = amiss(check_service(Asked(True, None, None), WHERE)).items()
    assert key == ("service", WRONG)
    assert what == "what listens on 127.0.0.1:8081 says nothing within 2 s: it is stopped, or hangs"


def test_service_that_is_ready_is_well() -> None:
    """And where none runs nothing is said of it."""
    assert amiss(check_service(Asked(False, 1024, Health({"database": "ok"})), WHERE)) == {}
    assert check_service(Asked(False, None, None), WHERE) == []
