"""Keys that verify JWTs, each with the one algorithm that it is for.

The algorithm follows from the key and never from the header of a JWT, which whoever forges one writes (RFC 8725
section 3.1): an RSA key verifies RS256 and nothing else, so its public half is no secret for HS256 either.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from orderstream.errors import SettingsError

# NIST SP 800-131A: shorter ones may no longer be relied on.
MIN_RSA_BITS = 2048

# All that a key can be for; a tuple, since what is compared may be of any kind.
ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")


class Key(NamedTuple):
    """`algorithm` is the JOSE name (RFC 7518 section 3.1, RFC 8037); `material` is what PyJWT verifies with."""

    algorithm: str
    material: Any


def fixed_keys(secret: str, public_key: str) -> list[Key]:
    """Those of the settings jwt_secret and jwt_public_key; an empty one is none. Raises SettingsError."""
    return [*([key_of_secret(secret)] if secret else []), *([key_of_pem(public_key)] if public_key else [])]


def key_of_secret(secret: str) -> Key:
    """The key that the login service and we share."""
    return Key("HS256", secret.encode())


def key_of_pem(text_or_path: str) -> Key:
    """A public key, given as PEM or as the path of a file with it. Raises SettingsError, which quotes nothing."""
    pem = text_or_path if "-----BEGIN" in text_or_path else _read(text_or_path)
    if "PRIVATE KEY" in pem:
        raise SettingsError("jwt_public_key holds a private key: give the public half, and keep that one at the login")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError("jwt_public_key is not a public key in PEM (-----BEGIN PUBLIC KEY-----)") from None
    algorithm = _algorithm(key)
    if algorithm is None:
        raise SettingsError(
            f"jwt_public_key must be RSA of {MIN_RSA_BITS} bits or more (RS256), "
            "ECDSA on P-256 (ES256), or Ed25519 (EdDSA)"
        )
    return Key(algorithm, key)


def key_of_jwk(jwk: Mapping[str, Any]) -> Key | None:
    """The key of an entry of a JWKS (RFC 7517), or None where we cannot or should not verify with it."""
    # A secret that is published is none; a published private key lets anybody sign.
    if jwk.get("kty") not in ("RSA", "EC", "OKP") or "d" in jwk or jwk.get("use", "sig") != "sig":
        return None
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        key = jwt.PyJWK.from_dict(dict(jwk))
    except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    algorithm = _algorithm(key.key)
    # An entry may be meant for an algorithm that is not ours: RS512, PS256.
    return Key(algorithm, key.key) if algorithm is not None and jwk.get("alg", algorithm) == algorithm else None


def _algorithm(key: object) -> str | None:
    match key:
        case RSAPublicKey() if key.key_size >= MIN_RSA_BITS:
            return "RS256"
        case EllipticCurvePublicKey() if isinstance(key.curve, SECP256R1):
            return "ES256"
        case Ed25519PublicKey():
            return "EdDSA"
    return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError as error:
        raise SettingsError(f"jwt_public_key: the file cannot be read: {error.strerror}") from None
    except ValueError:
        raise SettingsError("jwt_public_key: the file is not PEM") from None
