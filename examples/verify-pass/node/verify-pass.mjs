// Verifies the passes of a bookingq gateway with Node's own crypto. See ../README.md.
import { createPublicKey, verify } from "node:crypto";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const LEEWAY = 30; // seconds that clocks may differ
const MAX_AGE = 300; // seconds for which the JWKS is kept
const REFRESH = 60; // seconds between two readings for an unknown kid
const TIMEOUT = 5_000; // milliseconds for reading the JWKS

/** A pass that must not be accepted. */
export class PassRefused extends Error {}

const refuse = (reason) => {
  throw new PassRefused(reason);
};

/** Canonical base64url only: Buffer skips what it does not know. */
const decode = (part) => {
  const bytes = Buffer.from(part, "base64url");
  return bytes.toString("base64url") === part ? bytes : refuse("not base64url");
};

const parse = (bytes) => {
  let value;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    refuse("not JSON");
  }
  return value && typeof value === "object" && !Array.isArray(value) ? value : refuse("not an object");
};

export class PassVerifier {
  #keys = new Map();
  #readAt = -Infinity;
  #refreshAt = -Infinity;

  constructor({ jwksUrl, issuer, audience }) {
    Object.assign(this, { jwksUrl, issuer, audience });
  }

  /** Returns the claims, or throws PassRefused. Other errors: the JWKS cannot be read. */
  async verify(pass, now = Date.now() / 1000) {
    if (typeof pass !== "string" || pass.length > 4096) refuse("too long");
    const parts = pass.split(".");
    if (parts.length !== 3) refuse("not three parts");
    const [header, claims, signature] = parts.map(decode);
    const { alg, kid, crit } = parse(header);
    if (typeof kid !== "string") refuse("no kid");
    const key = (await this.#key(kid, now)) ?? refuse("unknown kid");
    // The key decides the algorithm; the header must agree.
    if (alg !== "EdDSA" || crit !== undefined) refuse("wrong alg");
    const message = Buffer.from(`${parts[0]}.${parts[1]}`, "ascii");
    if (!verify(null, message, key, signature)) refuse("wrong signature");
    return this.#check(parse(claims), now);
  }

  #check(claims, now) {
    if (claims.iss !== this.issuer) refuse("foreign iss");
    if (claims.aud !== this.audience) refuse("foreign aud");
    if (!Number.isInteger(claims.exp) || claims.exp + LEEWAY <= now) refuse("expired");
    if (!Number.isInteger(claims.iat) || claims.iat - LEEWAY > now) refuse("from the future");
    for (const name of ["sub", "queue", "booking", "reservation"]) {
      if (typeof claims[name] !== "string" || claims[name] === "") refuse(`no ${name}`);
    }
    if (typeof claims.item !== "string") refuse("no item");
    const { quantity } = claims;
    if (!Number.isInteger(quantity) || quantity < 1 || quantity > 100) refuse("no quantity");
    return claims;
  }

  async #key(kid, now) {
    if (now - this.#readAt > MAX_AGE) await this.#read(now);
    if (!this.#keys.has(kid) && now - this.#refreshAt > REFRESH) {
      this.#refreshAt = now;
      await this.#read(now);
    }
    return this.#keys.get(kid);
  }

  async #read(now) {
    const signal = AbortSignal.timeout(TIMEOUT);
    const answer = await fetch(this.jwksUrl, { signal, redirect: "error" });
    if (!answer.ok) throw new Error(`${this.jwksUrl} answered ${answer.status}`);
    const { keys } = await answer.json();
    const ours = keys.filter(
      ({ kty, crv, kid, use = "sig" }) => kty === "OKP" && crv === "Ed25519" && kid && use === "sig",
    );
    const parsed = ours.map(({ kty, crv, x, kid }) => [
      kid,
      createPublicKey({ key: { kty, crv, x }, format: "jwk" }),
    ]);
    this.#keys = new Map(parsed);
    this.#readAt = now;
  }
}

const main = async ([jwksUrl, issuer, audience]) => {
  const verifier = new PassVerifier({ jwksUrl, issuer, audience });
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      const claims = await verifier.verify(line);
      const { sub, queue, booking, reservation, item, quantity } = claims;
      console.log(["ok", sub, queue, booking, reservation, item, quantity].join("\t"));
    } catch (error) {
      if (!(error instanceof PassRefused)) throw error;
      console.log(`refused\t${error.message}`);
    }
  }
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  if (process.argv.length !== 5) {
    console.error("usage: node verify-pass.mjs JWKS_URL ISSUER AUDIENCE < passes");
    process.exit(2);
  }
  await main(process.argv.slice(2));
}
