"""Reads the settings: defaults, under a TOML file, under `ORDERSTREAM_*` variables.

`config/orderstream.example.toml` is made from here, and so are the lines that say what a wrong value should be. No
value is ever quoted back, since a secret put under the wrong key would be quoted too.
"""

import difflib
import ipaddress
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from orderstream.errors import SettingsError
from orderstream.settings import PREFIX, Settings

CONFIG_VARIABLE = "ORDERSTREAM_CONFIG"


def load(environment: Mapping[str, str], config_path: str | Path | None = None) -> Settings:
    """Settings from the file `config_path`, or the one that ORDERSTREAM_CONFIG names, and the variables.

    Raises SettingsError that names the key, where it came from and what is allowed.
    """
    settings, wrong = read(environment, config_path)
    if wrong:
        raise SettingsError(wrong[0])
    return settings


def read(environment: Mapping[str, str], config_path: str | Path | None = None) -> tuple[Settings, list[str]]:
    """The settings, with the default for whatever is wrong, and the line that `load` would raise for each of these."""
    path = config_path or environment.get(CONFIG_VARIABLE) or None
    chosen: dict[str, Any] = {}
    wrong: list[str] = []
    try:
        said = [] if path is None else [(key, value, str(path)) for key, value in _read(Path(path)).items()]
    except SettingsError as error:
        said = []
        wrong.append(str(error))
    said += [
        (variable.removeprefix(PREFIX).lower(), text, variable)
        for variable, text in environment.items()
        if variable.startswith(PREFIX) and variable != CONFIG_VARIABLE
    ]
    for key, value, source in said:
        try:
            chosen[key] = _convert(key, value, source)
        except SettingsError as error:
            wrong.append(str(error))
    settings = Settings(**chosen)
    return settings, wrong + _crossed(settings) + _bad_networks(settings.trusted_proxies)


def example() -> str:
    """The text of `config/orderstream.example.toml`: every key with its explanation, range and default."""
    lines = [
        "# orderstream settings: every key, commented out, with its default.",
        f"# A variable {PREFIX}<KEY> wins over this file; a list is written there with commas.",
        f"# Read from --config FILE or {CONFIG_VARIABLE}. Keys end in their unit: _s seconds, _ms, _bytes.",
    ]
    defaults = Settings()
    for key in Settings.__struct_fields__:
        description = next(meta.description for meta in _metas(key) if meta.description)
        value = msgspec.json.encode(getattr(defaults, key)).decode()
        lines += ["", f"# {description}.", f"#   {_allowed(key)}", f"#{key} = {value}"]
    return "\n".join(lines) + "\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the settings file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"the settings file {path} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        where = str(error).rpartition("(")[2].rstrip(")")
        raise SettingsError(f"the settings file {path} is not TOML, {where}") from None


def _convert(key: str, value: object, source: str) -> Any:
    """The value of a key as its type; text from a variable is read as what the key wants."""
    if key not in Settings.__struct_fields__:
        raise SettingsError(_unknown(key, source))
    wanted = _TYPES[key]
    from_text = source.startswith(PREFIX)
    if from_text and get_origin(get_args(wanted)[0]) is list:
        value = [part.strip() for part in str(value).split(",") if part.strip()]
    try:
        converted = msgspec.convert(value, wanted, strict=not from_text)
    except msgspec.ValidationError:
        raise SettingsError(f"{key} from {source} must be {_allowed(key)}") from None
    if isinstance(converted, float) and not math.isfinite(converted):
        raise SettingsError(f"{key} from {source} must be {_allowed(key)}")
    return converted


def _unknown(key: str, source: str) -> str:
    from_text = source.startswith(PREFIX)
    near = difflib.get_close_matches(key, Settings.__struct_fields__, n=1)
    name = source if from_text else f"{key} in {source}"
    meant = f": did you mean {PREFIX + near[0].upper() if from_text else near[0]}?" if near else ""
    return f"there is no setting {name}{meant}"


def _crossed(settings: Settings) -> list[str]:
    pairs = (("doorbell_poll_min_s", "doorbell_poll_max_s"), ("poll_wait_s", "poll_max_wait_s"))
    wrong = [
        f"{least} must not be more than {most}"
        for least, most in pairs
        if getattr(settings, least) > getattr(settings, most)
    ]
    if settings.idle_session_timeout_s < 2 * settings.safety_net_s:
        # A leader that nobody wakes says nothing for so long, and would lose its session each time.
        wrong.append("idle_session_timeout_s must be at least twice safety_net_s")
    return wrong


def _bad_networks(networks: list[str]) -> list[str]:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            return [f"trusted_proxies must be {_allowed('trusted_proxies')}, without host bits"]
    return []


def _metas(key: str) -> list[Meta]:
    return [meta for meta in get_args(_TYPES[key])[1:] if isinstance(meta, Meta)]


def _allowed(key: str) -> str:
    """What a value may be, in words: `a whole number from 1 to 200`."""
    wanted = get_args(_TYPES[key])[0]
    (meta,) = _metas(key)
    if meta.extra is not None:
        return str(meta.extra["allowed"])
    if get_origin(wanted) is Literal:
        return "one of " + ", ".join(get_args(wanted))
    kind = "a whole number" if wanted is int else "a number"
    return f"{kind} from {meta.ge} to {meta.le}"


_TYPES: dict[str, Any] = get_type_hints(Settings, include_extras=True)
