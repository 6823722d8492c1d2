"""`hub:OWNER/NAME` against a server of our own that speaks the Hub's protocol."""

import json
import os
import subprocess
import sys
import threading
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from contrapposto.runs import ZOO

pytest.importorskip("huggingface_hub")
FOLDER = ZOO / "sage_student" / "demo-sage_demo"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """One repository, somebody/student: what `snapshot_download` asks for."""

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def log_message(self, *arguments):
        pass

    def _answer(self, body):
        path = self.path.partition("?")[0]
        files = sorted(p.relative_to(FOLDER).as_posix() for p in FOLDER.rglob("*") if p.is_file())
        prefix = f"/somebody/student/resolve/{COMMIT}/"
        if path.startswith("/api/models/somebody/student"):
            tree = [
                {"type": "file", "path": n, "oid": "0" * 40, "size": (FOLDER / n).stat().st_size}
                for n in files
            ]
            siblings = [{"rfilename": name} for name in files]
            model = {"id": "somebody/student", "sha": COMMIT, "private": False, "siblings": siblings}
            content = json.dumps(tree if "/tree/" in path else model | {"tags": [], "downloads": 0}).encode()
            self._send(200, content, body, {"Content-Type": "application/json"})
        elif path.startswith(prefix) and path.removeprefix(prefix) in files:
            content = (FOLDER / path.removeprefix(prefix)).read_bytes()
            self._send(
                200, content, body, {"ETag": f'"{sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
            )
        else:
            self._send(404, b"{}", body, {"X-Error-Code": "RepoNotFound"})

    def _send(self, status, content, body, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


CODE = """
import sys
from contrapposto.errors import MissingError
from contrapposto.pretrained import load_pretrained
model = load_pretrained("hub:somebody/student")
print(model.model, sum(value.numel() for value in model.state.values()))
try:
    load_pretrained("hub:somebody/nothing")
except MissingError as error:
    print(error.what)
"""


def test_a_model_of_the_hub_loads_by_its_name(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
        environment |= {"HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        environment |= {"PYTHONPATH": str(Path(__file__).parents[1]), "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(
            [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, timeout=300
        )
        server.shutdown()
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == [
        "sage_student 970628",
        "hub:somebody/nothing cannot be downloaded.",
    ]
