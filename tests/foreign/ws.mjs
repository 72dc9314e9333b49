// A gateway seen by Node's `ws`: node ws.mjs URL TOKEN
import assert from "node:assert/strict";
import WebSocket from "ws";

const [url, token] = process.argv.slice(2);
const open = () =>
  new Promise((done, fail) => {
    const options = { headers: { authorization: `Bearer ${token}` }, perMessageDeflate: true };
    const socket = new WebSocket(url, ["bq1"], options);
    socket.closed = new Promise((end) => socket.on("close", (code) => end(code)));
    socket.frames = [];
    socket.on("message", (text) => socket.frames.push(JSON.parse(text)));
    socket.once("message", () => done(socket));
    socket.on("error", fail);
  });
const next = async (socket, kind) => {
  for (let n = 0; n < 500; n++) {
    const found = socket.frames.find((frame) => frame.t === kind);
    if (found) return found;
    await new Promise((done) => setTimeout(done, 10));
  }
  throw new Error(`no ${kind}`);
};

let socket = await open();
assert.equal(socket.frames[0].t, "hello");
assert.deepEqual([socket.protocol, socket.extensions], ["bq1", ""], "no compression is agreed");
socket.send('{"t":"pi', { fin: false });
socket.send('ng","c":9}');
assert.equal((await next(socket, "pong")).c, 9);
const pong = new Promise((done) => socket.once("pong", done));
socket.ping("abc");
assert.equal(String(await pong), "abc");
socket.close(1000);
assert.equal(await socket.closed, 1000);
for (const [code, send] of [
  [1009, (socket) => socket.send("x".repeat(1025))],
  [1009, (socket) => socket.send(Buffer.alloc(5000))],
  [1007, (socket) => socket.send(Buffer.from([0xff, 0xfe]), { binary: false })],
  [4429, (socket) => { for (let n = 0; n < 200; n++) socket.send("{}"); }],
]) {
  socket = await open();
  send(socket);
  assert.equal(await socket.closed, code);
}
