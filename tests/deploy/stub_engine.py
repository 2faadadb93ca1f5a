"""An engine without a model: answers its health path, and has a child, as engines have workers.

Run: python -m tests.deploy.stub_engine PORT [--never | --die]
"""

import http.server
import subprocess
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    """All paths are there."""

    def do_GET(self):
        """Answer 200."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


def main():
    if "--die" in sys.argv:
        sys.stdout.write("loading weights\nout of memory: 3 GB short\n")
        sys.exit(3)
    worker = subprocess.Popen(["sleep", "1000"])
    sys.stdout.write(f"worker {worker.pid}\n")
    sys.stdout.flush()
    if "--never" in sys.argv:
        worker.wait()
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()


if __name__ == "__main__":
    main()
