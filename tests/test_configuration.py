"""Settings: where a value comes from, what is refused, and what is never shown."""

import tomllib
from ipaddress import ip_address
from pathlib import Path

import pytest

from orderstream.configuration import example, load
from orderstream.errors import SettingsError
from orderstream.settings import Settings, host_port

EXAMPLE = Path(__file__).parent.parent / "config" / "orderstream.example.toml"
SECRET = "correct-horse-battery-staple-0123456789"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "orderstream.toml"


def uncommented(text: str) -> str:
    return "\n".join(line.removeprefix("#") for line in text.splitlines() if not line.startswith("# "))


def test_example_file_is_what_the_settings_say() -> None:
    """Remake it with: python -c 'from orderstream.configuration import example; print(example(), end="")'."""
    assert EXAMPLE.read_text() == example()


def test_example_holds_every_key_with_its_default(config: Path) -> None:
    """Taking the comment signs off changes nothing."""
    config.write_text(uncommented(example()))
    assert load({}, config) == Settings()
    assert set(tomllib.loads(config.read_text())) == set(Settings.__struct_fields__)


def test_example_explains_every_key() -> None:
    """Each key has a line of explanation and one of what is allowed above it."""
    lines = example().splitlines()
    keys = [number for number, line in enumerate(lines) if line.startswith("#") and not line.startswith("# ")]
    assert len(keys) == len(Settings.__struct_fields__)
    assert all(lines[at - 2].endswith(".") and lines[at - 1].startswith("#   ") for at in keys)


def test_variable_wins_over_file_and_file_over_default(config: Path) -> None:
    """Defaults, under the file, under the variables."""
    config.write_text("pool_size = 7\nretry_ms = 500")
    settings = load({"ORDERSTREAM_POOL_SIZE": "9"}, config)
    assert (settings.pool_size, settings.retry_ms, settings.load_max_users) == (9, 500, 500)


def test_admin_listen_is_loopback_by_default() -> None:
    """Whoever can reach the admin port is not asked who they are."""
    host, _ = host_port(Settings().admin_listen)
    assert ip_address(host).is_loopback


def test_file_may_be_named_by_a_variable(config: Path) -> None:
    """ORDERSTREAM_CONFIG is the one variable that is no setting."""
    config.write_text("pool_size = 7")
    assert load({"ORDERSTREAM_CONFIG": str(config)}).pool_size == 7


def test_other_variables_are_ignored() -> None:
    """Only the prefix is ours."""
    assert load({"POOL_SIZE": "x", "PATH": "/bin"}) == Settings()


def test_list_in_a_variable_is_comma_separated() -> None:
    """Spaces and an empty end are no origins."""
    settings = load({"ORDERSTREAM_CORS_ORIGINS": "https://a.example, http://localhost:3000,"})
    assert settings.cors_origins == ["https://a.example", "http://localhost:3000"]


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("pool_size", "0", "a whole number from 1 to 200"),
        ("pool_size", "many", "a whole number from 1 to 200"),
        ("pool_size", "1.5", "a whole number from 1 to 200"),
        ("heartbeat_s", "nan", "a number from 0.1 to 55"),
        ("heartbeat_s", "inf", "a number from 0.1 to 55"),
        ("log_level", "loud", "one of debug, info, warning, error"),
        ("listen", "8080", "host:port, such as 127.0.0.1:8080 or [::1]:8080"),
        ("listen", "localhost:65536", "host:port, such as 127.0.0.1:8080 or [::1]:8080"),
        ("jwt_secret", "short", "32 characters or more"),
        ("jwt_cookie", "a cookie", "the name of a cookie"),
        ("jwks_url", "http://login.example/jwks.json", "an https URL, or an http one on 127.0.0.1, localhost or [::1]"),
        ("jwks_url", "http://127.0.0.1@login.example/", "an https URL"),
        ("jwks_url", "http://localhost.example/", "an https URL"),
        ("jwks_url", "file:///etc/passwd", "an https URL"),
        (
            "cors_origins",
            "*",
            "a list of exact origins, such as https://app.example.com, without a path or *",
        ),
        ("cors_origins", "https://a.example/path", "a list of exact origins"),
    ],
)
def test_wrong_value_in_a_variable_is_named(key: str, value: str, allowed: str) -> None:
    """Key, source and what is allowed, in one line."""
    variable = f"ORDERSTREAM_{key.upper()}"
    with pytest.raises(SettingsError) as caught:
        load({variable: value})
    assert str(caught.value).startswith(f"{key} from {variable} must be {allowed}")


@pytest.mark.parametrize("line", ['pool_size = "4"', "pool_size = true", "pool_size = 4.5", "pool_size = 0"])
def test_wrong_type_in_the_file_is_named(config: Path, line: str) -> None:
    """A file has types, so text is not read as a number there."""
    config.write_text(line)
    with pytest.raises(SettingsError, match=f"^pool_size from {config} must be a whole number from 1 to 200$"):
        load({}, config)


def test_whole_number_in_the_file_is_a_number_of_seconds(config: Path) -> None:
    """`heartbeat_s = 5` need not be written 5.0."""
    config.write_text("heartbeat_s = 5")
    assert load({}, config).heartbeat_s == 5.0


def test_unknown_key_in_the_file_is_named(config: Path) -> None:
    """With the key that was probably meant."""
    config.write_text("heartbeats_s = 5")
    with pytest.raises(SettingsError, match=f"no setting heartbeats_s in {config}: did you mean heartbeat_s?"):
        load({}, config)


def test_unknown_variable_is_named() -> None:
    """A misspelt variable would otherwise silently leave the default."""
    with pytest.raises(SettingsError, match=r"no setting ORDERSTREAM_POOLSIZE: did you mean ORDERSTREAM_POOL_SIZE\?"):
        load({"ORDERSTREAM_POOLSIZE": "4"})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"pool_size = \n", "is not TOML, at line 1, column 13"),
        (b"\xff", "is not UTF-8"),
        (b'[pool]\nsize = "4"', "there is no setting pool in"),
    ],
)
def test_unreadable_file_is_named(config: Path, content: bytes, complaint: str) -> None:
    """Which file, and where in it."""
    config.write_bytes(content)
    with pytest.raises(SettingsError, match=complaint):
        load({}, config)


def test_missing_file_is_named(config: Path) -> None:
    """A path that leads nowhere is no default."""
    with pytest.raises(SettingsError, match=f"cannot read the settings file {config}: No such file"):
        load({}, config)


def test_settings_that_contradict_each_other_are_refused() -> None:
    """The shortest pause cannot be longer than the longest."""
    with pytest.raises(SettingsError, match="doorbell_poll_min_s must not be more than doorbell_poll_max_s"):
        load({"ORDERSTREAM_DOORBELL_POLL_MIN_S": "0.5"})


@pytest.mark.parametrize("changed", [{"SAFETY_NET_S": "6"}, {"IDLE_SESSION_TIMEOUT_S": "9"}])
def test_leader_may_be_silent_for_as_long_as_it_sleeps(changed: dict[str, str]) -> None:
    """Else each would lose its session while nothing is written, and another would be elected, which does the same."""
    with pytest.raises(SettingsError, match="idle_session_timeout_s must be at least twice safety_net_s"):
        load({f"ORDERSTREAM_{key}": value for key, value in changed.items()})


def test_secrets_are_not_in_the_repr() -> None:
    """Settings may be logged."""
    url = f"postgresql://me:{SECRET}@db/orders"
    settings = load({"ORDERSTREAM_JWT_SECRET": SECRET, "ORDERSTREAM_DATABASE_URL": url})
    assert SECRET not in repr(settings) + str(settings.__rich_repr__())
    assert settings.jwt_secret == SECRET


@pytest.mark.parametrize("line", [f'jwt_cookie = "{SECRET} "', f'heartbeat_s = "{SECRET}"', f'x = "{SECRET}"\n='])
def test_a_wrong_value_is_not_quoted_back(config: Path, line: str) -> None:
    """A secret may have been put under the wrong key."""
    config.write_text(line)
    with pytest.raises(SettingsError) as caught:
        load({}, config)
    assert SECRET not in str(caught.value)


def test_required_settings_are_named_when_empty() -> None:
    """Both ways to set it are in the line."""
    with pytest.raises(SettingsError, match="jwt_secret is not set: set ORDERSTREAM_JWT_SECRET, or jwt_secret in"):
        Settings(database_url="postgresql://db").require("database_url", "jwt_secret")


@pytest.mark.parametrize(
    ("address", "pair"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:8080", ("::1", 8080)), ("a.example:443", ("a.example", 443))],
)
def test_address_is_split_at_its_port(address: str, pair: tuple[str, int]) -> None:
    """Host without brackets, port as a number."""
    assert host_port(address) == pair
