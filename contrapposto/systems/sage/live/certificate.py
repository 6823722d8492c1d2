"""Certificates for the pages of live tracking: browsers offer VR only to secure addresses."""

from __future__ import annotations

import ipaddress
import subprocess
from pathlib import Path

from contrapposto.errors import MissingError


def make_certificate(folder: Path, hosts: tuple[str, ...] = ()) -> Path:
    """Make a certificate for this machine and sign it with its own key; browsers ask before they trust it.

    Args:
        folder: where `certificate.pem` is written, readable by its owner alone.
        hosts: addresses and names that it is for, beside localhost.

    Raises:
        MissingError: there is no program openssl.
    """
    path = folder / "certificate.pem"
    names = [
        "DNS:localhost",
        "IP:127.0.0.1",
        *(f"IP:{host}" if _is_address(host) else f"DNS:{host}" for host in hosts),
    ]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += [
        "-days",
        "30",
        "-subj",
        "/CN=contrapposto live",
        "-addext",
        f"subjectAltName={','.join(names)}",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    key = folder / "key.pem"
    key.touch(mode=0o600)
    try:
        subprocess.run([*command, "-keyout", str(key), "-out", str(path)], check=True, capture_output=True)
        path.write_bytes(path.read_bytes() + key.read_bytes())
    except (OSError, subprocess.CalledProcessError) as error:
        path.unlink(missing_ok=True)
        detail = getattr(error, "stderr", b"") or b""
        raise MissingError(
            "No certificate could be made.",
            found=detail.decode(errors="replace").strip()[-200:] or str(error),
            fix="install openssl, or name a PEM file of your own: task.certificate=FILE",
        ) from None
    finally:
        key.unlink(missing_ok=True)
    return path


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
