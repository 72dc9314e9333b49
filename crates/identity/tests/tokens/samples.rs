//! The sample verifiers of `examples/verify-pass`: each accepts and refuses what `PassVerifier`
//! does. A language that is not installed is named, and fails the test where `CI` is set.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bookingq_core::{BookingId, Quantity, ReservationId, Timestamp};
use bookingq_identity::{KeyRing, PassGrant, PassVerifier};
use serde_json::{Value, json};

use crate::forge::{self, Signer};
use crate::{ISSUER, client, key_file, queue, ring_of, seconds};

const AUDIENCE: &str = "https://tickets.example";
const GOOD: &str = "ok\tZoë\tconcert\t00000000-0000-0000-0000-000000000007\tr-1\tstalls\t2";

/// Pass keys by their ids and seeds.
fn keys(names: &[(&str, u8)]) -> KeyRing {
    let file = |(kid, seed): &(&str, u8)| {
        key_file(kid, "pass", "EdDSA", "privateKey", &forge::private_pem(*seed))
    };
    ring_of(&names.iter().map(file).collect::<Vec<_>>())
}

fn pass(keys: &KeyRing, now: Timestamp) -> String {
    let (client, queue) = (client("Zoë"), queue("concert"));
    let grant = PassGrant {
        issuer: ISSUER,
        audience: AUDIENCE,
        client: &client,
        queue: &queue,
        booking: BookingId::from_u128(7),
        reservation: &ReservationId::new("r-1").unwrap(),
        item: "stalls",
        quantity: Quantity::new(2).unwrap(),
        deadline: now + seconds(600),
    };
    grant.sign(keys, now).unwrap().0
}

/// Passes, and whether each is good. The second one is signed by a key that is new in the JWKS.
fn passes(now: Timestamp) -> Vec<(&'static str, String, bool)> {
    let good = pass(&keys(&[("s1", 4)]), now);
    let mut all = vec![
        ("good", good.clone(), true),
        ("signed by a new key", pass(&keys(&[("s2", 5)]), now), true),
    ];
    all.extend(forged_headers(&good).map(|(what, pass)| (what, pass, false)));
    all.extend(forged_claims(&good, now).map(|(what, pass)| (what, pass, false)));
    all.extend(broken(&good).map(|(what, pass)| (what, pass, false)));
    all.push(("good again", good, true));
    all
}

type Forged = (&'static str, String);

fn forged_headers(good: &str) -> impl Iterator<Item = Forged> {
    let claims = forge::claims(good);
    let signed = |header: Value, signer| forge::token(&header, &claims, signer);
    let (public, pem) = (forge::public_key(4), forge::public_pem(4));
    let hs256 = || forge::header("HS256", "s1");
    let inside = json!({"alg": "EdDSA", "kid": "s9", "jwk":
        {"kty": "OKP", "crv": "Ed25519", "x": forge::public_key(9)}});
    [
        ("none", signed(forge::header("none", "s1"), Signer::Nothing)),
        ("none without a kid", signed(json!({"alg": "none"}), Signer::Nothing)),
        ("none, signed", signed(forge::header("none", "s1"), Signer::Pair(4))),
        ("HS256 with x", signed(hs256(), Signer::Hmac(public.as_bytes()))),
        ("HS256 with the PEM", signed(hs256(), Signer::Hmac(pem.as_bytes()))),
        ("HS256, signed by the key", signed(hs256(), Signer::Pair(4))),
        ("unknown kid", signed(forge::header("EdDSA", "s9"), Signer::Pair(9))),
        ("kid of an object's method", signed(forge::header("EdDSA", "toString"), Signer::Pair(9))),
        ("kid of another's key", signed(forge::header("EdDSA", "rsa"), Signer::Pair(9))),
        ("key inside", signed(inside, Signer::Pair(9))),
        ("signed by another key", signed(forge::header("EdDSA", "s1"), Signer::Pair(9))),
        ("crit", signed(json!({"alg": "EdDSA", "kid": "s1", "crit": ["b64"]}), Signer::Pair(4))),
        ("kid is a number", signed(json!({"alg": "EdDSA", "kid": 1}), Signer::Pair(4))),
        ("header is a list", forge::raw("[]", &claims.to_string(), Signer::Pair(4))),
        ("header is null", forge::raw("null", &claims.to_string(), Signer::Pair(4))),
    ]
    .into_iter()
}

fn forged_claims(good: &str, now: Timestamp) -> impl Iterator<Item = Forged> {
    let claims = forge::claims(good);
    let second = now.0 / 1000;
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        forge::token(&forge::header("EdDSA", "s1"), &claims, Signer::Pair(4))
    };
    [
        ("altered", forge::with_claims(good, |claims| claims["quantity"] = json!(9))),
        ("foreign aud", with("aud", json!("https://other.example"))),
        ("aud in a list", with("aud", json!([AUDIENCE]))),
        ("no aud", with("aud", Value::Null)),
        ("foreign iss", with("iss", json!("https://evil.example"))),
        ("expired", with("exp", json!(second - 60))),
        ("no end", with("exp", Value::Null)),
        ("end as text", with("exp", json!("9999999999"))),
        ("from the future", with("iat", json!(second + 90))),
        ("no reservation", with("reservation", json!(""))),
        ("no client", with("sub", Value::Null)),
        ("no item", with("item", Value::Null)),
        ("item is a number", with("item", json!(7))),
        ("quantity 0", with("quantity", json!(0))),
        ("quantity 101", with("quantity", json!(101))),
        ("quantity 1.5", with("quantity", json!(1.5))),
        (
            "claims are text",
            forge::raw(&forge::header("EdDSA", "s1").to_string(), "\"x\"", Signer::Pair(4)),
        ),
    ]
    .into_iter()
}

fn broken(good: &str) -> impl Iterator<Item = Forged> {
    let parts: Vec<String> = good.split('.').map(str::to_owned).collect();
    let [header, claims, signature] = parts.try_into().unwrap();
    // The last character of 64 bytes has four bits that say nothing.
    let mut stray = signature.clone();
    let last = stray.pop().unwrap();
    stray.push(char::from_u32(u32::from(last) + 1).unwrap());
    [
        ("empty", String::new()),
        ("dots", "..".to_owned()),
        ("two parts", format!("{header}.{claims}")),
        ("four parts", format!("{good}.x")),
        ("no signature", format!("{header}.{claims}.")),
        ("padding", format!("{good}==")),
        ("stray bits", format!("{header}.{claims}.{stray}")),
        ("a space", format!("{header}.{claims}. {signature}")),
        ("not ASCII", format!("{header}.{claims}.ü{signature}")),
        ("huge", format!("{header}.{claims}.{}", "A".repeat(100_000))),
    ]
    .into_iter()
}

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(now.as_millis()).unwrap())
}

#[test]
fn our_own_verifier_accepts_and_refuses_these_passes() {
    let now = now();
    let jwks = keys(&[("s1", 4), ("s2", 5)]).jwks();
    let verifier = PassVerifier::new(&jwks, ISSUER, AUDIENCE).unwrap();
    for (what, pass, good) in passes(now) {
        assert_eq!(verifier.verify(&pass, now).is_ok(), good, "{what}");
    }
}

/// Serves the JWKS; from the second reading on with a second key. Counts the readings.
fn serve_jwks() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/.well-known/jwks.json", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let names: &[_] = match counter.fetch_add(1, Ordering::SeqCst) {
                0 => &[("s1", 4)],
                _ => &[("s1", 4), ("s2", 5)],
            };
            let mut set: Value = serde_json::from_str(&keys(names).jwks()).unwrap();
            let rsa = json!({"kty": "RSA", "kid": "rsa", "n": "AQAB", "e": "AQAB", "use": "sig"});
            set["keys"].as_array_mut().unwrap().insert(0, rsa);
            let _ = answer(&stream.unwrap(), &set.to_string());
        }
    });
    (url, count)
}

fn answer(mut stream: &TcpStream, body: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

/// A sample that can be run, or what is missing.
type Sample = Result<Command, String>;

fn folder(language: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/verify-pass").join(language)
}

/// Runs a preparing command to its end. `missing`: what to install if it fails to start.
fn prepare(command: &mut Command, missing: &str) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|_| missing.to_owned())?;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
    Ok(())
}

fn check(language: &str, sample: Sample) {
    let mut command = match sample {
        Ok(command) => command,
        Err(missing) => {
            assert!(std::env::var_os("CI").is_none(), "{language}: {missing}");
            eprintln!("SKIPPED: the {language} sample. {missing}.");
            return;
        }
    };
    let (url, readings) = serve_jwks();
    let passes = passes(now());
    let mut child = command
        .args([&url, ISSUER, AUDIENCE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: Vec<&str> = passes.iter().map(|(_, pass, _)| pass.as_str()).collect();
    let text = lines.join("\n") + "\n";
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let mut output = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).map(|_| text)
    });
    let end = Instant::now() + seconds(120);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > end => child.kill().unwrap(),
            None => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    };
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(status.success(), "{language}: {status}: {errors}");
    writer.join().unwrap().unwrap();
    let text = reader.join().unwrap().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), passes.len(), "{language}: {text}\n{errors}");
    for ((what, _, good), line) in passes.iter().zip(lines) {
        if *good {
            assert_eq!(line, GOOD, "{language}: {what}");
        } else {
            assert!(line.starts_with("refused\t"), "{language}: {what}: {line}");
        }
    }
    assert_eq!(readings.load(Ordering::SeqCst), 2, "{language}: unknown kids flood the JWKS");
}

#[test]
fn the_node_sample_accepts_and_refuses_as_we_do() {
    let version = prepare(Command::new("node").arg("--version"), "node 18 or newer is missing");
    check(
        "Node",
        version.map(|()| {
            let mut node = Command::new("node");
            node.arg(folder("node").join("verify-pass.mjs"));
            node
        }),
    );
}

#[test]
fn the_python_sample_accepts_and_refuses_as_we_do() {
    let missing = "python3 with cryptography is missing: pip install cryptography";
    let import = Command::new("python3").args(["-c", "import cryptography"]).output();
    let python = || {
        let mut python = Command::new("python3");
        python.arg("-B").arg(folder("python").join("verify_pass.py"));
        python.env("PYTHONIOENCODING", "utf-8");
        python
    };
    let has_it = import.is_ok_and(|output| output.status.success());
    check("Python", has_it.then(python).ok_or_else(|| missing.to_owned()));
}

#[test]
fn the_java_sample_accepts_and_refuses_as_we_do() {
    let out = tempfile::tempdir().unwrap();
    let sources = ["Json", "PassVerifier", "VerifyPass"];
    let sources = sources.map(|name| folder("java").join(format!("{name}.java")));
    let mut compiler = Command::new("javac");
    compiler.args(["-Xlint:all", "-Werror", "-encoding", "UTF-8", "-d"]).arg(out.path());
    let ready = prepare(compiler.args(sources), "javac 17 or newer is missing");
    check(
        "Java",
        ready.map(|()| {
            let mut java = Command::new("java");
            java.arg("-cp").arg(out.path()).arg("VerifyPass");
            java
        }),
    );
}

#[test]
fn the_go_sample_accepts_and_refuses_as_we_do() {
    let out = tempfile::tempdir().unwrap();
    let program = out.path().join("verify-pass");
    let mut compiler = Command::new("go");
    compiler.args(["build", "-o"]).arg(&program).arg(".").current_dir(folder("go"));
    compiler.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=mod");
    let ready = prepare(&mut compiler, "go 1.22 or newer is missing");
    check("Go", ready.map(|()| Command::new(&program)));
}
