"""TLS by file, and SIGHUP: the certificate and the files of a gateway that runs are replaced without stopping it."""

import shutil
import signal
import ssl
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from cuvee.errors import InputError
from cuvee.serve.processes import reserved_port
from cuvee.serve.running import Place, tls_of
from tests.serve.test_command import wait_for
from tests.serve.test_faults import EngineProcess
from tests.serve.test_reload import write_files
from tests.serve.world import two_types


def certify(folder: Path) -> str:
    """A new certificate for this machine and its key in `folder`; the certificate's text."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate can be made")
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(folder / "key.pem"))
    command = ["openssl", "req", "-x509", *key, "-days", "1", *subject, "-out", str(folder / "certificate.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "certificate.pem").read_text()


def shown(port: int) -> str:
    """The certificate that is shown on a port; "" where nobody speaks TLS there."""
    try:
        return ssl.get_server_certificate(("127.0.0.1", port), timeout=5)
    except OSError:
        return ""


def test_a_certificate_without_its_key_leaves_tls_as_it_was(tmp_path):
    """A reload between the writing of the two files is refused, and the old pair goes on being shown."""
    file = tmp_path / "key.pem"
    place = Place(plan=tmp_path, replicas=tmp_path, certificate=tmp_path / "certificate.pem", private_key=file)
    first = certify(tmp_path)
    context, key = tls_of(place), file.read_bytes()
    assert context is not None
    certify(tmp_path)
    file.write_bytes(key)
    with pytest.raises(InputError, match="a certificate and its key in PEM"):
        tls_of(place, context)
    assert shaken(context) == ssl.PEM_cert_to_DER_cert(first)


def shaken(context: ssl.SSLContext) -> bytes | None:
    """The certificate that a client sees of a server with `context`, without any socket."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    client = trusting.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for each in (client, server, client, server):
        with suppress(ssl.SSLWantReadError):
            each.do_handshake()
    return client.getpeercert(binary_form=True)


def test_certificates_are_replaced_without_a_stop(tmp_path):
    """Requests pass by TLS alone; after SIGHUP new connections see the new certificate.

    A SIGHUP with files that are wrong changes nothing.
    """
    first, plan = certify(tmp_path), two_types()
    with ExitStack() as stack, reserved_port("127.0.0.1", 0) as kept:
        engines = [stack.enter_context(EngineProcess()) for _ in plan.groups]
        place, port = write_files(tmp_path, engines, plan), kept.getsockname()[1]
        files = ("--tls-certificate", tmp_path / "certificate.pem", "--tls-key", tmp_path / "key.pem")
        asked = ("serve", place.plan, "--replicas", place.replicas, "--port", port, "--admin-port", -1, *files)
        kept.close()
        gateway = subprocess.Popen(
            [sys.executable, "-m", "cuvee.cli.main", *map(str, asked)], stderr=subprocess.PIPE, text=True
        )
        assert gateway.stderr is not None
        stack.callback(gateway.stderr.close)
        stack.callback(gateway.wait)
        stack.callback(gateway.kill)
        wait_for(lambda: shown(port))
        assert shown(port) == first
        trusting = ssl.create_default_context(cadata=first)
        with urlopen(f"https://127.0.0.1:{port}/health", timeout=20, context=trusting) as reply:
            assert reply.status == 200
        with pytest.raises(OSError, match=r".*"):
            urlopen(f"http://127.0.0.1:{port}/health", timeout=5)

        second = certify(tmp_path)
        gateway.send_signal(signal.SIGHUP)
        wait_for(lambda: shown(port) == second)

        good = place.replicas.read_text()
        place.replicas.write_text("version: 7\n")
        gateway.send_signal(signal.SIGHUP)
        said = ""
        while "replicas.yaml" not in said:
            said = gateway.stderr.readline()
            assert said, "the gateway ended without a word of the wrong file"
        assert shown(port) == second
        place.replicas.write_text(good)
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(60) == 0
