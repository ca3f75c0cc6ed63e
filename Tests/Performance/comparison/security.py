# SPDX-License-Identifier: Apache-2.0
"""TLS as all of them speak it: one certificate, and what peer/openssl.cnf leaves of versions, ciphers and groups."""

import os
import ssl
import subprocess
from pathlib import Path

from .machine import fail

#: Read by every OpenSSL of a run, so that all choose the same; Tollgate has another library, and is offered nothing else.
CHOICES = Path(__file__).resolve().parent.parent / "peer/openssl.cnf"
VERSION = "TLSv1.3"
CIPHER = "TLS_AES_128_GCM_SHA256"


class Security:
    """A certificate on P-256, signed by itself."""

    def __init__(self, folder: Path):
        # Libraries read it when they are loaded, so it has to be there before.
        if os.environ.get("OPENSSL_CONF") != str(CHOICES):
            fail(f"TLS is compared with OPENSSL_CONF={CHOICES}")
        folder.mkdir()
        self.certificate, self.key = folder / "certificate.pem", folder / "key.pem"
        done = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.key, "-out", self.certificate],
            # That file has no section for requests.
            env={name: value for name, value in os.environ.items() if name != "OPENSSL_CONF"}, capture_output=True, text=True)
        if done.returncode:
            fail(f"openssl made no certificate: {done.stderr}")
        self.context = ssl.create_default_context(cafile=str(self.certificate))

    @property
    def of_nginx(self) -> str:
        return (f"ssl_certificate {self.certificate}; ssl_certificate_key {self.key}; ssl_protocols TLSv1.3; "
                "ssl_session_cache off;")

    @property
    def of_tollgate(self) -> dict[str, str]:
        return {"certificate": str(self.certificate), "key": str(self.key)}
