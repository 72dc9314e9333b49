// Proof of work: the smallest nonce for which SHA-256(seed + ":" + nonce) begins with enough zero bits.
const K = [], H = [];
for (let n = 2; K.length < 64; n++) {
  let prime = true;
  for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
  if (!prime) continue;
  if (H.length < 8) H.push((Math.sqrt(n) % 1) * 2 ** 32 | 0);
  K.push((Math.cbrt(n) % 1) * 2 ** 32 | 0);
}
const w = new Int32Array(64);
const block = (h, bytes, at) => {
  for (let i = 0; i < 16; i++, at += 4) {
    w[i] = bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
  }
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15], y = w[i - 2];
    const s0 = (x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ (x >>> 3);
    const s1 = (y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ (y >>> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, z] = h;
  for (let i = 0; i < 64; i++) {
    const s1 = (e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7);
    const t1 = z + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i] | 0;
    const s0 = (a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10);
    const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c)) | 0;
    z = g; g = f; f = e; e = d + t1 | 0; d = c; c = b; b = a; a = t1 + t2 | 0;
  }
  return [h[0] + a | 0, h[1] + b | 0, h[2] + c | 0, h[3] + d | 0, h[4] + e | 0, h[5] + f | 0, h[6] + g | 0, h[7] + z | 0];
};
const sha256 = (text) => {
  const size = text.length, bytes = new Uint8Array((size + 72) >> 6 << 6);
  for (let i = 0; i < size; i++) bytes[i] = text.charCodeAt(i);
  bytes[size] = 128;
  new DataView(bytes.buffer).setUint32(bytes.length - 4, size * 8);
  let h = H;
  for (let at = 0; at < bytes.length; at += 64) h = block(h, bytes, at);
  return h;
};
const zeros = (h) => {
  let bits = 0;
  for (const word of h) {
    bits += Math.clz32(word);
    if (word) break;
  }
  return bits;
};
const search = ({ seed, difficulty }) => {
  for (let nonce = 0; ; nonce++) {
    if (zeros(sha256(seed + ":" + nonce)) >= difficulty) return { seed, nonce: String(nonce) };
  }
};
self.onmessage = (event) => self.postMessage(search(event.data));
