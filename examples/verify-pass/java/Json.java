import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A small strict JSON parser, so that this example needs no library; Java has none of its own. Use
 * the one of your project instead.
 *
 * <p>Objects become maps, whole numbers Long, other numbers Double. A repeated name is an error.
 */
final class Json {
    private static final int MAX_DEPTH = 8;

    /** Text that is no JSON. */
    static final class Malformed extends Exception {
        private static final long serialVersionUID = 1;

        Malformed(int at) {
            super("no JSON at character " + at);
        }
    }

    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    static Object parse(String text) throws Malformed {
        Json json = new Json(text);
        Object value = json.value(0);
        json.skipSpace();
        json.require(json.at == text.length());
        return value;
    }

    private Object value(int depth) throws Malformed {
        require(depth < MAX_DEPTH);
        skipSpace();
        switch (peek()) {
            case '{':
                return object(depth);
            case '[':
                return array(depth);
            case '"':
                return string();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            default:
                return number();
        }
    }

    private Map<String, Object> object(int depth) throws Malformed {
        Map<String, Object> map = new LinkedHashMap<>();
        at++;
        skipSpace();
        if (accept('}')) {
            return map;
        }
        do {
            skipSpace();
            String name = string();
            skipSpace();
            require(accept(':'));
            Object value = value(depth + 1);
            require(!map.containsKey(name));
            map.put(name, value);
            skipSpace();
        } while (accept(','));
        require(accept('}'));
        return map;
    }

    private List<Object> array(int depth) throws Malformed {
        List<Object> list = new ArrayList<>();
        at++;
        skipSpace();
        if (accept(']')) {
            return list;
        }
        do {
            list.add(value(depth + 1));
            skipSpace();
        } while (accept(','));
        require(accept(']'));
        return list;
    }

    private String string() throws Malformed {
        require(accept('"'));
        StringBuilder out = new StringBuilder();
        while (peek() != '"') {
            char c = text.charAt(at++);
            require(c >= ' ');
            out.append(c == '\\' ? escaped() : c);
        }
        at++;
        return out.toString();
    }

    private char escaped() throws Malformed {
        char c = peek();
        at++;
        int known = "\"\\/bfnrt".indexOf(c);
        if (known >= 0) {
            return "\"\\/\b\f\n\r\t".charAt(known);
        }
        require(c == 'u' && at + 4 <= text.length());
        String digits = text.substring(at, at + 4);
        require(digits.matches("[0-9a-fA-F]{4}"));
        at += 4;
        return (char) Integer.parseInt(digits, 16);
    }

    private Object word(String word, Object value) throws Malformed {
        require(text.startsWith(word, at));
        at += word.length();
        return value;
    }

    private Number number() throws Malformed {
        int start = at;
        while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        String digits = text.substring(start, at);
        require(digits.matches("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?"));
        if (digits.matches("-?[0-9]{1,18}")) {
            return Long.valueOf(digits);
        }
        return Double.valueOf(digits);
    }

    private char peek() throws Malformed {
        require(at < text.length());
        return text.charAt(at);
    }

    private boolean accept(char c) {
        boolean found = at < text.length() && text.charAt(at) == c;
        at += found ? 1 : 0;
        return found;
    }

    private void skipSpace() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private void require(boolean condition) throws Malformed {
        if (!condition) {
            throw new Malformed(at);
        }
    }
}
