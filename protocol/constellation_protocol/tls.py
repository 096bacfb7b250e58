"""TLS settings from files in PEM, for a hub and for those who dial it, and the names that a certificate is for."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import BadTlsFiles


def server_tls(cert: Path, key: Path, *, client_ca: Path | None = None) -> ssl.SSLContext:
    """The settings of a hub.

    Args:
        cert: Its certificate, with the chain.
        key: The certificate's private key, not encrypted.
        client_ca: Authorities of which everybody who connects has to show a certificate; None asks for none.

    Raises:
        BadTlsFiles: one of the files can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_certificate(context, cert, key)
    if client_ca is not None:
        _load_authorities(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_tls(*, ca: Path | None = None, cert: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """The settings of whoever dials a hub.

    Args:
        ca: The authorities that the hub's certificate may come from; those that the system knows when None.
        cert: The certificate to show, with its chain, where the hub asks for one.
        key: The certificate's private key, not encrypted.

    Raises:
        BadTlsFiles: one of the files can't be used, or of certificate and key only one is given.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is not None:
        _load_authorities(context, ca)
    else:
        context.load_default_certs()
    if cert is not None and key is not None:
        _load_certificate(context, cert, key)
    elif cert is not None or key is not None:
        raise BadTlsFiles("a certificate and its private key go together: give both")
    return context


def certificate_names(certificate: Mapping[str, Any]) -> frozenset[str]:
    """The names that a certificate is for: its DNS names, or where it has none the common name of its subject.

    Args:
        certificate: As `ssl.SSLObject.getpeercert` gives it.
    """
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
    if not names:
        names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return frozenset(names)


def _load_certificate(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise BadTlsFiles(f"the certificate {cert} with the key {key} can't be used: {error}") from error


def _load_authorities(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except (OSError, ValueError) as error:
        raise BadTlsFiles(f"the authorities in {ca} can't be used: {error}") from error


def _no_password() -> str:
    raise ValueError("the key is encrypted; decrypt it first")
