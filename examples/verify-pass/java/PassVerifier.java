import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/** Verifies the passes of a bookingq gateway with Java's own crypto. See ../README.md. */
public final class PassVerifier {
    private static final Duration LEEWAY = Duration.ofSeconds(30); // clocks may differ
    private static final Duration MAX_AGE = Duration.ofMinutes(5); // the JWKS is kept
    private static final Duration REFRESH = Duration.ofMinutes(1); // for an unknown kid
    private static final Duration TIMEOUT = Duration.ofSeconds(5); // for reading the JWKS
    /** A public key in X.509 form is this and its 32 bytes (RFC 8410). */
    private static final String X509 = "302a300506032b6570032100";

    /** A pass that must not be accepted. */
    public static final class Refused extends Exception {
        private static final long serialVersionUID = 1;

        Refused(String reason) {
            super(reason);
        }
    }

    private final HttpClient http = HttpClient.newBuilder().connectTimeout(TIMEOUT).build();
    private final URI jwks;
    private final String issuer;
    private final String audience;
    private Map<String, PublicKey> keys = Map.of();
    private Instant readAt = Instant.EPOCH;
    private Instant refreshAt = Instant.EPOCH;

    public PassVerifier(URI jwks, String issuer, String audience) {
        this.jwks = jwks;
        this.issuer = issuer;
        this.audience = audience;
    }

    /** Returns the claims. Other exceptions than Refused: the JWKS cannot be read. */
    public Map<String, Object> verify(String pass, Instant now)
            throws Refused, IOException, InterruptedException, GeneralSecurityException {
        String[] parts = pass.split("\\.", -1);
        if (pass.length() > 4096 || parts.length != 3) {
            throw new Refused("not three parts");
        }
        Map<String, Object> header = object(decode(parts[0]));
        byte[] claims = decode(parts[1]);
        byte[] signed = decode(parts[2]);
        if (!(header.get("kid") instanceof String kid)) {
            throw new Refused("no kid");
        }
        PublicKey key = key(kid, now);
        // The key decides the algorithm; the header must agree.
        if (!"EdDSA".equals(header.get("alg")) || header.containsKey("crit")) {
            throw new Refused("wrong alg");
        }
        Signature signature = Signature.getInstance("Ed25519");
        signature.initVerify(key);
        signature.update((parts[0] + "." + parts[1]).getBytes(StandardCharsets.US_ASCII));
        if (signed.length != 64 || !signature.verify(signed)) {
            throw new Refused("wrong signature");
        }
        return check(object(claims), now);
    }

    private Map<String, Object> check(Map<String, Object> claims, Instant now) throws Refused {
        if (!issuer.equals(claims.get("iss"))) {
            throw new Refused("foreign iss");
        }
        if (!audience.equals(claims.get("aud"))) {
            throw new Refused("foreign aud");
        }
        if (!now.isBefore(Instant.ofEpochSecond(seconds(claims, "exp")).plus(LEEWAY))) {
            throw new Refused("expired");
        }
        if (now.isBefore(Instant.ofEpochSecond(seconds(claims, "iat")).minus(LEEWAY))) {
            throw new Refused("from the future");
        }
        for (String name : List.of("sub", "queue", "booking", "reservation")) {
            if (!(claims.get(name) instanceof String text) || text.isEmpty()) {
                throw new Refused("no " + name);
            }
        }
        if (!(claims.get("item") instanceof String)) {
            throw new Refused("no item");
        }
        if (!(claims.get("quantity") instanceof Long quantity) || quantity < 1 || quantity > 100) {
            throw new Refused("no quantity");
        }
        return claims;
    }

    private static long seconds(Map<String, Object> claims, String name) throws Refused {
        // Year 9999: Instant has an end.
        if (claims.get(name) instanceof Long time && time >= 0 && time < 253_402_300_800L) {
            return time;
        }
        throw new Refused("no " + name);
    }

    private synchronized PublicKey key(String kid, Instant now)
            throws Refused, IOException, InterruptedException, GeneralSecurityException {
        if (readAt.plus(MAX_AGE).isBefore(now)) {
            read(now);
        }
        if (!keys.containsKey(kid) && refreshAt.plus(REFRESH).isBefore(now)) {
            refreshAt = now;
            read(now);
        }
        PublicKey key = keys.get(kid);
        if (key == null) {
            throw new Refused("unknown kid");
        }
        return key;
    }

    private void read(Instant now)
            throws IOException, InterruptedException, GeneralSecurityException {
        HttpRequest request = HttpRequest.newBuilder(jwks).timeout(TIMEOUT).build();
        HttpResponse<String> answer = http.send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IOException(jwks + " answered " + answer.statusCode());
        }
        Map<String, PublicKey> found = new HashMap<>();
        try {
            if (!(Json.parse(answer.body()) instanceof Map<?, ?> set)
                    || !(set.get("keys") instanceof List<?> list)) {
                throw new IOException(jwks + " is no JWKS");
            }
            for (Object one : list) {
                if (one instanceof Map<?, ?> jwk && isOurs(jwk) && jwk.get("x") instanceof String x) {
                    found.put((String) jwk.get("kid"), publicKey(decode(x)));
                }
            }
        } catch (Json.Malformed | Refused wrong) {
            throw new IOException(jwks + " is no JWKS", wrong);
        }
        keys = found;
        readAt = now;
    }

    private static boolean isOurs(Map<?, ?> jwk) {
        return "OKP".equals(jwk.get("kty"))
                && "Ed25519".equals(jwk.get("crv"))
                && (!jwk.containsKey("use") || "sig".equals(jwk.get("use")))
                && jwk.get("kid") instanceof String;
    }

    private static PublicKey publicKey(byte[] bytes) throws GeneralSecurityException {
        byte[] prefix = HexFormat.of().parseHex(X509);
        byte[] der = ByteBuffer.allocate(prefix.length + bytes.length).put(prefix).put(bytes).array();
        return KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(der));
    }

    /** Canonical base64url only: Java accepts padding and stray bits. */
    private static byte[] decode(String part) throws Refused {
        try {
            byte[] bytes = Base64.getUrlDecoder().decode(part);
            if (Base64.getUrlEncoder().withoutPadding().encodeToString(bytes).equals(part)) {
                return bytes;
            }
        } catch (IllegalArgumentException wrong) {
            // Refused below.
        }
        throw new Refused("not base64url");
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> object(byte[] bytes) throws Refused {
        try {
            String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
            if (Json.parse(text) instanceof Map<?, ?> map) {
                return (Map<String, Object>) map;
            }
        } catch (CharacterCodingException | Json.Malformed wrong) {
            // Refused below.
        }
        throw new Refused("not a JSON object");
    }
}
