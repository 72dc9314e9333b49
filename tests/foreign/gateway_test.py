"""A gateway as clients see it that others have written. `cargo xtask foreign` runs it."""

import asyncio
import json
import logging
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

import h2.config
import h2.connection
import h2.settings
import websockets
from websockets.exceptions import ConnectionClosed

from stack import ROOT, Stack, free_ports, until

HERE = os.path.dirname(os.path.abspath(__file__))
QUEUE = "/v1/queues/concert"
stack = unread = None
# The slow tasks of its debug mode.
logging.getLogger("asyncio").setLevel(logging.ERROR)


def setUpModule():
    global stack, unread
    stack = Stack(gateway_flags=["--drain", "2s", "--linger", "0s"])
    stack.admission("paused")
    unread = UnreadStreams()


def tearDownModule():
    print(f"the logs of the processes are in {stack.folder}", file=sys.stderr)
    stack.stop()


def opened(token, url=None, **options):
    url = (url or stack.url).replace("http", "ws", 1) + QUEUE + "/socket"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    options = {"additional_headers": headers, "subprotocols": ["bq1"], **options}
    return websockets.connect(url, **options)


async def frame(ws, kind):
    """The next frame of this type."""
    async with asyncio.timeout(10):
        while True:
            received = json.loads(await ws.recv())
            if received["t"] == kind:
                return received


async def ended(ws):
    """The close code, and the last frame."""
    last = None
    try:
        async with asyncio.timeout(10):
            while True:
                last = json.loads(await ws.recv())
    except ConnectionClosed as error:
        return error.rcvd and error.rcvd.code, last


def raw(opcode, payload, length=None):
    """A frame that is masked with zeros; `length` may lie."""
    length = len(payload) if length is None else length
    size = bytes([0x80 | length]) if length < 126 else b"\xff" + struct.pack(">Q", length)
    return bytes([opcode]) + size + b"\0\0\0\0" + payload


class Sockets(unittest.IsolatedAsyncioTestCase):
    async def test_what_the_document_promises(self):
        joined = stack.join()
        async with opened(joined["token"], subprotocols=["chat", "bq1"]) as ws:
            self.assertEqual((ws.subprotocol, ws.protocol.extensions), ("bq1", []))
            hello = await frame(ws, "hello")
            self.assertEqual(hello["b"]["bookingId"], joined["place"]["bookingId"])
            await ws.send(iter(['{"t":"pi', 'ng","c"', ":77}"]))
            self.assertEqual((await frame(ws, "pong"))["c"], 77)
            for ignored in [b"\x00binary", "no JSON", '{"t":"of a later version"}', "x" * 1024]:
                await ws.send(ignored)
            await ws.send('{"t":"ping","c":1.5}')
            self.assertEqual((await frame(ws, "pong"))["c"], 1.5)
            await asyncio.wait_for(await ws.ping(b"abc"), 5)
            await ws.close(4000, "enough")
            self.assertEqual((ws.close_code, ws.close_reason), (4000, "enough"))
        async with opened(None, subprotocols=["bq1", "place." + joined["token"]]) as ws:
            self.assertEqual(ws.subprotocol, "bq1")
            await frame(ws, "hello")

    async def test_wrong_frames_get_the_code_that_says_why(self):
        token = stack.join()["token"]
        cases = {
            "a text of 1,025 bytes": (raw(0x81, b"x" * 1025), 1009),
            "a terabyte, announced": (raw(0x81, b"", 1 << 40), 1009),
            "too large in fragments": (raw(0x01, b"x" * 1000) + raw(0x80, b"x" * 25), 1009),
            "no UTF-8": (raw(0x81, b"\xff\xfe"), 1007),
            "half of a character": (raw(0x01, b"\xe2\x82") + raw(0x80, b"A"), 1007),
            "not masked": (b"\x81\x02hi", 1002),
            "compressed": (raw(0xC1, b"hi"), 1002),
            "an unknown opcode": (raw(0x83, b"hi"), 1002),
            "a ping of 126 bytes": (raw(0x89, b"p" * 126), 1002),
            "a ping in fragments": (raw(0x09, b"p"), 1002),
            "a continuation of nothing": (raw(0x80, b"p"), 1002),
            "a text within fragments": (raw(0x01, b"p") + raw(0x81, b"p"), 1002),
            "a close code that is reserved": (raw(0x88, struct.pack(">H", 1005)), 1002),
        }
        for what, (sent, expected) in cases.items():
            with self.subTest(what):
                async with opened(token) as ws:
                    await frame(ws, "hello")
                    ws.transport.write(sent)
                    self.assertEqual((await ended(ws))[0], expected)

    async def test_closes(self):
        token = stack.join()["token"]
        async with opened("a.b.c") as ws:
            self.assertEqual(await ended(ws), (4401, {"t": "bye", "why": "gone"}))
        async with opened(token) as ws:
            for number in range(60):
                await ws.send(json.dumps({"t": "ping", "c": number}))
            self.assertEqual((await ended(ws))[0], 4429)
        sockets = [await opened(token) for _ in range(5)]
        self.assertEqual((await ended(sockets[0]))[0], 4409)
        for ws in sockets[1:]:
            await ws.close()
        # A library that keeps cookies, as those of many apps do.
        cookie = {"Cookie": f"bq-concert={token}"}
        async with opened(token, additional_headers={"Authorization": f"Bearer {token}", **cookie}) as ws:
            await frame(ws, "hello")
        for origin in ["https://evil.example", "null"]:
            with self.assertRaises(websockets.InvalidStatus) as refused:
                await opened(token, origin=origin)
            self.assertEqual(refused.exception.response.status_code, 403)

    async def test_a_client_that_comes_back_sees_the_truth(self):
        ahead, token = stack.join()["token"], stack.join()["token"]
        async with opened(token) as ws:
            before = await frame(ws, "hello")
        stack.call("DELETE", QUEUE + "/places/me", token=ahead)
        async with opened(token) as ws:
            after = await frame(ws, "hello")
        self.assertEqual(after["b"]["position"], before["b"]["position"] - 1)
        order = [[int(part) for part in hello["id"].split("-")] for hello in (before, after)]
        self.assertLessEqual(*order)

    async def test_the_library_of_node(self):
        token = stack.join()["token"]
        if not shutil.which("node") or not os.path.isdir(f"{HERE}/node_modules/ws"):
            self.skipTest("Node with `ws` is missing")
        words = ["node", f"{HERE}/ws.mjs", stack.url.replace("http", "ws") + QUEUE + "/socket", token]
        subprocess.run(words, check=True, timeout=30)


class UnreadStreams:
    """Event streams on one HTTP/2 connection that answers pings and reads nothing."""

    STREAMS = 64

    def __init__(self):
        tokens = [stack.join()["token"] for _ in range(self.STREAMS)]
        self.client = socket.create_connection(("127.0.0.1", stack.ports["gateway"]))
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.http.initiate_connection()
        # Each stream may send 100 bytes and then nothing.
        self.http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 100})
        for token in tokens:
            head = [(":method", "GET"), (":path", QUEUE + "/events"), (":scheme", "http"),
                    (":authority", "a"), ("authorization", f"Bearer {token}")]
            self.http.send_headers(self.http.get_next_available_stream_id(), head, end_stream=True)
        self.client.sendall(self.http.data_to_send())
        self.began, self.lasted = time.monotonic(), None
        self.thread = threading.Thread(target=self.answer_pings, daemon=True)
        self.thread.start()
        until("all are open", lambda: open_events() == self.STREAMS)

    def answer_pings(self):
        try:
            while data := self.client.recv(65536):
                self.http.receive_data(data)
                self.client.sendall(self.http.data_to_send())
        except OSError:
            pass
        self.lasted = time.monotonic() - self.began


def open_events():
    name = 'bookingqueue_gateway_connections{transport="events"'
    lines = stack.admin("metrics").splitlines()
    return next(int(float(line.split()[-1])) for line in lines if line.startswith(name))


class Unread(unittest.TestCase):
    """Begun before all others: it takes half a minute."""

    def test_event_streams_that_are_not_read_end_within_30_s(self):
        unread.thread.join(40)
        unread.client.close()
        self.assertTrue(unread.lasted and 20 < unread.lasted < 31, unread.lasted)
        until("their places are free", lambda: open_events() == 0)


class Proxies(unittest.TestCase):
    """nginx and HAProxy as in docs/gateway.md, and with nothing but the address of the gateway."""

    def serve(self, program, config, *words):
        if not shutil.which(program):
            self.skipTest(f"{program} is missing")
        folder = tempfile.mkdtemp(prefix="bookingq-proxy-")
        with open(f"{folder}/config", "w") as file:
            file.write(config.replace("FOLDER", folder))
        process = subprocess.Popen([program, *words, f"{folder}/config"], stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

    def check(self, port, upgrades):
        url, token = f"http://127.0.0.1:{port}", stack.join()["token"]
        until("the proxy answers", lambda: socket.create_connection(("127.0.0.1", port), 1).close() or True)
        # A browser says that the page is of the same origin; a proxy may write another Host.
        body, headers = {}, {"origin": "http://queue.example", "sec_fetch_site": "same-origin"}
        if not upgrades:
            own, stack.url = stack.url, url
            status, joined = stack.call("POST", QUEUE + "/places", body, idempotency_key=KEY, **headers)
            stack.url = own
            self.assertIn(status, (200, 201), joined)
        began = time.monotonic()
        asyncio.run(self.first_position(url, token, upgrades))
        self.assertLess(time.monotonic() - began, 2)

    async def first_position(self, url, token, upgrades):
        if upgrades:
            async with opened(token, url) as ws:
                self.assertGreater((await frame(ws, "hello"))["b"]["position"], 0)
            return
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"GET {QUEUE}/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        async with asyncio.timeout(5):
            self.assertIn(b'"t":"hello"', await reader.readuntil(b'"hello"'))
        writer.close()

    def test_nginx(self):
        ports = free_ports(["bare", "full"])
        gateway = f"proxy_pass {stack.url};"
        self.serve("nginx", f"""
            daemon off; pid FOLDER/pid; error_log FOLDER/log; events {{}}
            http {{ access_log off;
              map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
              server {{ listen 127.0.0.1:{ports["bare"]}; location / {{ {gateway} }} }}
              server {{ listen 127.0.0.1:{ports["full"]}; location / {{ {gateway}
                proxy_http_version 1.1;
                proxy_set_header Host $http_host;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection $connection_upgrade;
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}""", "-c")
        self.check(ports["bare"], upgrades=False)
        self.check(ports["full"], upgrades=True)

    def test_haproxy(self):
        port = free_ports(["haproxy"])["haproxy"]
        self.serve("haproxy", f"""
defaults
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s
frontend queue
    bind 127.0.0.1:{port}
    option forwardfor
    default_backend gateways
backend gateways
    server one {stack.local("gateway")}
""", "-db", "-f")
        self.check(port, upgrades=True)


KEY = "6f1d8f5e-6a53-4a52-b7a7-0d6f1c0f2a11"


class Document(unittest.TestCase):
    def test_every_answer_is_as_the_openapi_document_says(self):
        self.check(stack.url, stack.join()["token"], "-H", f"Origin: {stack.url}",
                   "--exclude-tag", "backend", "--exclude-operation-id", "openEvents")

    def test_so_is_every_answer_of_the_backend_port(self):
        token = stack.backend_token()
        payment = {"clientId": "unknown", "bookingId": str(uuid.uuid4()), "paymentId": "p-1"}
        status, problem = stack.call("POST", QUEUE + "/payments", payment, token, port="backend")
        self.assertEqual((status, problem["reason"]), (404, "BOOKING_NOT_FOUND"), "the token is accepted")
        self.check(f"http://{stack.local('backend')}", token, "--include-tag", "backend")

    def check(self, url, token, *flags):
        st = os.path.join(os.path.dirname(sys.executable), "st")
        if not os.path.exists(st):
            self.skipTest("schemathesis is missing")
        words = [st, "--config-file", f"{HERE}/schemathesis.toml", "run", stack.url + "/openapi.json",
                 "--url", url, "-H", f"Authorization: Bearer {token}", *flags]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=100)
        self.assertEqual(ran.returncode, 0, ran.stdout[-6000:] + ran.stderr[-2000:])
        self.assertRegex(ran.stdout, "[1-9][0-9]* generated")


class Faults(unittest.IsolatedAsyncioTestCase):
    """Runs last: the data is lost at its end."""

    async def test_what_is_shown_is_true_whatever_dies(self):
        clients = [Shown(stack.join()["token"]) for _ in range(100)]
        tasks = [asyncio.create_task(client.follow()) for client in clients]
        stack.admission("open")
        for name, start in [("gateway", stack.start_gateway), ("worker", stack.start_worker)] * 2:
            stack.end(name, signal.SIGKILL)
            await asyncio.to_thread(start)
            await self.shows_the_truth(clients, name)
        self.assertEqual([client.back for client in clients if client.back], [])
        lost = time.monotonic()
        port = str(stack.ports["redis"])
        subprocess.run(["redis-cli", "-p", port, "FLUSHALL"], check=True, capture_output=True)
        await asyncio.wait(tasks, timeout=10)
        self.assertTrue(all(client.state == "gone" for client in clients))
        self.assertLess(time.monotonic() - lost, 5)

    async def shows_the_truth(self, clients, killed):
        end = time.monotonic() + 5
        while True:
            ask = lambda client: stack.call("GET", QUEUE + "/places/me", token=client.token)[1].get("state")
            true = await asyncio.gather(*(asyncio.to_thread(ask, client) for client in clients))
            wrong = [(client.state, state) for client, state in zip(clients, true) if client.state != state]
            if not wrong:
                return
            self.assertLess(time.monotonic(), end, f"{killed} killed: {wrong[:5]}")
            await asyncio.sleep(0.1)


class Shown:
    """What one client was last shown."""

    def __init__(self, token):
        self.token, self.state, self.epoch, self.id, self.back = token, None, None, [0, 0], []

    async def follow(self):
        while self.state != "gone":
            try:
                async with opened(self.token) as ws:
                    async for text in ws:
                        self.received(json.loads(text))
            except (OSError, ConnectionClosed, websockets.InvalidHandshake, TimeoutError):
                pass
            await asyncio.sleep(0.2)

    def received(self, received):
        if received["t"] == "hello" and received["e"] != self.epoch:
            self.epoch, self.id = received["e"], [0, 0]
        if received["t"] in ("hello", "b"):
            newer = [int(part) for part in received["id"].split("-")]
            if newer < self.id:
                self.back.append((self.id, newer))
            self.id = newer
            self.state = received["b"]["state"] if received["t"] == "hello" else received["st"]
        elif received["t"] == "bye" and received["why"] == "gone":
            self.state = "gone"


def load_tests(loader, tests, _pattern):
    # By name, some were chosen.
    if len(sys.argv) > 1:
        return tests
    order = [Sockets, Proxies, Document, Unread, Faults]
    return unittest.TestSuite(loader.loadTestsFromTestCase(one) for one in order)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
