"""A whole bookingq on this computer: Redis, simulated services, a worker, a gateway."""

import base64
import hmac
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BOOKINGQ = os.environ.get("BOOKINGQ", os.path.join(ROOT, "target/debug/bookingq"))
NAMES = ["redis", "booking", "ticket", "realtime", "sim", "worker", "gateway", "grpc", "backend", "admin"]


def free_ports(names):
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
    ports = {name: one.getsockname()[1] for name, one in sockets.items()}
    for one in sockets.values():
        one.close()
    return ports


def until(what, check, seconds=20):
    """Waits until `check` returns something true."""
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            last = check()
            if last:
                return last
        except OSError as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}; last: {last}")


class Stack:
    def __init__(self, gateway_flags=(), booking="stock=100000"):
        self.folder, self.ports = tempfile.mkdtemp(prefix="bookingq-foreign-"), free_ports(NAMES)
        self.processes, self.gateway_flags = {}, gateway_flags
        self.url = f"http://127.0.0.1:{self.ports['gateway']}"
        self.redis = f"redis://127.0.0.1:{self.ports['redis']}"
        os.mkdir(f"{self.folder}/keys")
        for purpose in ["place", "pass", "backend"]:
            self.run("keys", "new", "--purpose", purpose, "--out", f"{self.folder}/keys/{purpose}.json")
        self.start("redis", "redis-server", "--port", self.ports["redis"], "--save", "", "--dir", self.folder)
        listen = [word for name in ["booking", "ticket", "realtime"] for word in (f"--{name}-listen", self.local(name))]
        self.start("simulate", BOOKINGQ, "simulate", "--booking", booking, *listen,
                   "--admin-listen", self.local("sim"))
        self.start_worker()
        self.start_gateway()

    def stop(self):
        for name in list(self.processes):
            self.end(name, signal.SIGKILL)

    def local(self, name):
        return f"127.0.0.1:{self.ports[name]}"

    def run(self, *words):
        subprocess.run([BOOKINGQ, *map(str, words)], check=True, capture_output=True, timeout=30)

    def start(self, name, *words):
        words = [str(word) for word in words]
        with open(f"{self.folder}/{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(words, stdout=log, stderr=log, cwd=self.folder)

    def start_worker(self):
        self.start("worker", BOOKINGQ, "worker", "--queue", "concert", "--redis", self.redis,
                   "--listen", self.local("worker"), "--booking", f"http://{self.local('booking')}", "--hold", "10m")

    def start_gateway(self):
        self.start("gateway", BOOKINGQ, "gateway", "--queue", f"concert=http://{self.local('worker')}",
                   "--keys", f"{self.folder}/keys", "--listen", self.local("gateway"),
                   "--grpc-listen", self.local("grpc"), "--backend-listen", self.local("backend"),
                   "--admin-listen", self.local("admin"), "--insecure-cookies", "--no-address-limits",
                   "--access-log", "errors", *self.gateway_flags)
        until("the gateway is ready", lambda: self.admin("readyz"), 30)

    def end(self, name, how):
        process = self.processes.pop(name)
        process.send_signal(how)
        process.wait(timeout=120)

    def admission(self, word):
        self.run("admission", "--queue", "concert", "--redis", self.redis, word)

    def admin(self, path):
        with urllib.request.urlopen(f"http://{self.local('admin')}/{path}", timeout=5) as answer:
            return answer.read().decode()

    def rss(self, name="gateway"):
        """Resident memory of a process in KiB."""
        with open(f"/proc/{self.processes[name].pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def call(self, method, path, body=None, token=None, port="gateway", **headers):
        """The status and the JSON of a request."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            headers["authorization"] = f"Bearer {token}"
        if body is not None:
            headers["content-type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.local(port)}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def backend_token(self):
        """The token of a seller's backend, which signs it with the key that it shares."""
        with open(f"{self.folder}/keys/backend.json") as file:
            key = json.load(file)
        text = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
        now = int(time.time())
        parts = [{"alg": "HS256", "kid": key["kid"]}, {"sub": "foreign", "iat": now, "exp": now + 280}]
        signed = b".".join(text(json.dumps(part).encode()) for part in parts)
        secret = base64.urlsafe_b64decode(key["secret"] + "==")
        return (signed + b"." + text(hmac.digest(secret, signed, "sha256"))).decode()

    def join(self, **body):
        status, joined = self.call("POST", "/v1/queues/concert/places", body, idempotency_key=str(uuid.uuid4()))
        assert status == 201, joined
        return joined
