"""One tiny program of the stack in `tiny`: answers 200 at /readyz, dies at /crash, does not start with TINY_FAIL."""

import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/crash":
            os._exit(3)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


if __name__ == "__main__":
    if os.environ["TINY_FAIL"] == "1":
        sys.exit("tiny: told to fail")
    if os.environ["TINY_FAIL"] == "slow":
        time.sleep(3600)
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["TINY_PORT"])), _Answer).serve_forever()
