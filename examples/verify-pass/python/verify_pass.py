"""Verifies the passes of a bookingq gateway with `cryptography`. See ../README.md."""

import base64
import json
import math
import sys
import time
import urllib.request

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LEEWAY = 30  # seconds that clocks may differ
MAX_AGE = 300  # seconds for which the JWKS is kept
REFRESH = 60  # seconds between two readings for an unknown kid
TIMEOUT = 5  # seconds for reading the JWKS
MAX_JWKS = 64 * 1024  # bytes


class PassRefused(Exception):
    """A pass that must not be accepted."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """The JWKS comes from its own URL or from nowhere."""

    def redirect_request(self, *_args):
        return None


class PassVerifier:
    """Checks passes with the keys of a JWKS."""

    def __init__(self, jwks_url, issuer, audience):
        self.jwks_url, self.issuer, self.audience = jwks_url, issuer, audience
        self._keys = {}
        self._read_at = self._refresh_at = -math.inf

    def verify(self, token, now=None):
        """Returns the claims, or raises PassRefused. Other errors: the JWKS cannot be read."""
        now = time.time() if now is None else now
        if len(token) > 4096:
            raise PassRefused("too long")
        parts = token.split(".")
        if len(parts) != 3:
            raise PassRefused("not three parts")
        header, claims, signature = (_decode(part) for part in parts)
        header = _parse(header)
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise PassRefused("no kid")
        key = self._key(kid, now)
        # The key decides the algorithm; the header must agree.
        if header.get("alg") != "EdDSA" or "crit" in header:
            raise PassRefused("wrong alg")
        try:
            key.verify(signature, f"{parts[0]}.{parts[1]}".encode("ascii"))
        except InvalidSignature:
            raise PassRefused("wrong signature") from None
        return self._check(_parse(claims), now)

    def _check(self, claims, now):
        if claims.get("iss") != self.issuer:
            raise PassRefused("foreign iss")
        if claims.get("aud") != self.audience:
            raise PassRefused("foreign aud")
        if not _is_int(claims.get("exp")) or claims["exp"] + LEEWAY <= now:
            raise PassRefused("expired")
        if not _is_int(claims.get("iat")) or claims["iat"] - LEEWAY > now:
            raise PassRefused("from the future")
        for name in ("sub", "queue", "booking", "reservation"):
            if not isinstance(claims.get(name), str) or not claims[name]:
                raise PassRefused(f"no {name}")
        if not isinstance(claims.get("item"), str):
            raise PassRefused("no item")
        if not _is_int(claims.get("quantity")) or not 1 <= claims["quantity"] <= 100:
            raise PassRefused("no quantity")
        return claims

    def _key(self, kid, now):
        if now - self._read_at > MAX_AGE:
            self._read(now)
        if kid not in self._keys and now - self._refresh_at > REFRESH:
            self._refresh_at = now
            self._read(now)
        if kid not in self._keys:
            raise PassRefused("unknown kid")
        return self._keys[kid]

    def _read(self, now):
        opener = urllib.request.build_opener(NoRedirect)
        with opener.open(self.jwks_url, timeout=TIMEOUT) as answer:
            text = answer.read(MAX_JWKS + 1)
        if len(text) > MAX_JWKS:
            raise ValueError(f"{self.jwks_url} is longer than {MAX_JWKS} bytes")
        keys = {}
        for jwk in json.loads(text)["keys"]:
            kind = (jwk.get("kty"), jwk.get("crv"), jwk.get("use", "sig"))
            if kind == ("OKP", "Ed25519", "sig") and jwk.get("kid"):
                keys[jwk["kid"]] = Ed25519PublicKey.from_public_bytes(_decode(jwk["x"]))
        self._keys, self._read_at = keys, now


def _decode(part):
    """Canonical base64url only: Python skips what it does not know."""
    try:
        decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise PassRefused("not base64url") from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != part.encode():
        raise PassRefused("not base64url")
    return decoded


def _parse(text):
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise PassRefused("not JSON") from None
    if not isinstance(value, dict):
        raise PassRefused("not an object")
    return value


def _is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def main(jwks_url, issuer, audience):
    """Verifies the passes of standard input."""
    verifier = PassVerifier(jwks_url, issuer, audience)
    for line in sys.stdin:
        try:
            claims = verifier.verify(line.rstrip("\n"))
        except PassRefused as reason:
            print("refused", reason, sep="\t", flush=True)
            continue
        names = ("sub", "queue", "booking", "reservation", "item", "quantity")
        print("ok", *(claims[name] for name in names), sep="\t", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python3 verify_pass.py JWKS_URL ISSUER AUDIENCE < passes")
    main(*sys.argv[1:])
