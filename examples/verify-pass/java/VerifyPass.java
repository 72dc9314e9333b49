import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Map;

/** Verifies the passes of standard input, one a line. */
public final class VerifyPass {
    private VerifyPass() {}

    public static void main(String[] args) throws Exception {
        if (args.length != 3) {
            System.err.println("usage: java -cp out VerifyPass JWKS_URL ISSUER AUDIENCE < passes");
            System.exit(2);
        }
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PassVerifier verifier = new PassVerifier(URI.create(args[0]), args[1], args[2]);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            try {
                Map<String, Object> claims = verifier.verify(line, Instant.now());
                out.printf(
                        "ok\t%s\t%s\t%s\t%s\t%s\t%s%n",
                        claims.get("sub"),
                        claims.get("queue"),
                        claims.get("booking"),
                        claims.get("reservation"),
                        claims.get("item"),
                        claims.get("quantity"));
            } catch (PassVerifier.Refused refused) {
                out.printf("refused\t%s%n", refused.getMessage());
            }
        }
    }
}
