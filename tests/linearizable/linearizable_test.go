package main

import (
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
)

const head = `{"seed":1,"epoch_ms":0}` + "\n"

func verified(t *testing.T, lines ...string) report {
	t.Helper()
	calls, err := read(strings.NewReader(head + strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return verify(calls)
}

const (
	joined     = `{"client":"c","op":"enqueue","request":"r","start":0,"end":9,"outcome":"ok","booking":"b","made_by":"r","queue_number":1,"state":"queued"}`
	unanswered = `{"client":"c","op":"enqueue","request":"r","start":0,"end":9,"outcome":"unknown"}`
	reserved   = `{"client":"c","op":"status","start":10,"end":19,"outcome":"ok","booking":"b","made_by":"r","queue_number":1,"state":"reserved"}`
	paid       = `{"client":"c","op":"pay","of":"b","payment":"p","start":20,"end":29,"outcome":"ok","booking":"b","made_by":"r","queue_number":1,"state":"confirming"}`
	unpaid     = `{"client":"c","op":"pay","of":"b","payment":"p","start":20,"end":29,"outcome":"unknown"}`
	sold       = `{"client":"c","op":"status","start":30,"end":39,"outcome":"ok","booking":"b","made_by":"r","queue_number":1,"state":"confirmed"}`
	again      = `{"client":"c","op":"enqueue","request":"s","start":40,"end":49,"outcome":"ok","booking":"d","made_by":"s","queue_number":2,"state":"queued"}`
	late       = `{"client":"c","op":"enqueue","request":"r","start":50,"end":59,"outcome":"ok","booking":"b","made_by":"r","queue_number":1,"state":"confirmed","existing":true}`
)

func with(line string, changes ...string) string {
	return strings.NewReplacer(changes...).Replace(line)
}

// answeredWith returns a line that shows a booking made for the late payment of b.
func answeredWith(booking, line string, changes ...string) string {
	line = with(line, `"booking":"b"`, `"booking":"`+booking+`"`, `"made_by":"r"`, `"made_by":"reacquire b"`,
		`"queue_number":1`, `"queue_number":2`, `"payment":"p"`, `"payment":"p","reacquire":true`)
	return with(line, changes...)
}

func TestCorrectAnswersAreLinearizable(t *testing.T) {
	for name, lines := range map[string][]string{
		"a sale":                  {joined, reserved, paid, sold, again, late},
		"a sale of unknown calls": {unanswered, reserved, unpaid, sold, again},
		"a refusal at the moment, then a cancellation": {joined, with(reserved, `"reserved"`, `"reserving"`),
			with(sold, "confirmed", "queued", `:30,`, `:20,`),
			with(paid, `"pay"`, `"cancel"`, `:20,`, `:40,`, `:29,`, `:49,`, `"confirming"`, `"releasing","follows":"cancelled"`)},
		"a late payment with another reservation": {joined, reserved, answeredWith("d", paid), answeredWith("d", sold)},
		"sold out while it waits":                 {joined, with(sold, "confirmed", "sold_out")},
		"an unknown call that comes late":         {unanswered, `{"client":"c","op":"status","start":10,"end":11,"outcome":"refused","reason":"BOOKING_NOT_FOUND"}`, with(reserved, `:10,`, `:12,`)},
		"an expired hold": {joined, reserved, with(paid, `"outcome":"ok"`, `"outcome":"refused","reason":"HOLD_EXPIRED"`),
			with(sold, "confirmed", "expired")},
	} {
		if found := verified(t, lines...); !found.good() {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

func TestWrongAnswersAreFound(t *testing.T) {
	for name, lines := range map[string][]string{
		"another booking of the same request":        {joined, with(reserved, `"b"`, `"x"`)},
		"another booking of an earlier request":      {joined, reserved, paid, sold, again, with(late, `"b"`, `"x"`, `"queue_number":1`, `"queue_number":3`, `"confirmed","existing":true`, `"queued"`)},
		"a lost place":                               {joined, `{"client":"c","op":"status","start":10,"end":11,"outcome":"refused","reason":"BOOKING_NOT_FOUND"}`},
		"a lost payment":                             {joined, reserved, paid, with(sold, "confirmed", "reserved")},
		"a payment that expires":                     {joined, reserved, paid, with(sold, "confirmed", "expired")},
		"another reservation that was not asked for": {joined, reserved, answeredWith("d", paid, `,"reacquire":true`, ``)},
		"two other reservations for one hold": {joined, reserved, answeredWith("d", paid),
			answeredWith("e", paid, `:20,`, `:30,`, `:29,`, `:39,`)},
		"a sale without a payment":            {joined, reserved, sold},
		"a second place beside an active one": {joined, again, with(reserved, `:10,`, `:60,`, `:19,`, `:69,`)},
		"sold out, and then it waits again":   {joined, with(reserved, `"reserved"`, `"sold_out"`), with(sold, "confirmed", "queued")},
		"a step back in state":                {joined, reserved, with(sold, "confirmed", "queued")},
		"a refusal of a payment in time, then a sale": {joined, reserved,
			with(paid, `"outcome":"ok"`, `"outcome":"refused","reason":"HOLD_EXPIRED"`), sold},
	} {
		if found := verified(t, lines...); len(found.broken) == 0 {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

func TestOnlyAGatewayRepeatsAJoinByItself(t *testing.T) {
	existing := with(joined, `"state":"queued"`, `"state":"reserving","existing":true`)
	if verified(t, existing).good() {
		t.Error("a worker found a booking that no call had made")
	}
	update := with(reserved, `"status"`, `"watch"`)
	if found := verified(t, existing, update); !found.good() {
		t.Errorf("%+v", found)
	}
}

func TestPlacesAreInTheOrderOfTheirCalls(t *testing.T) {
	other := func(changes ...string) string { return with(joined, append(changes, `"c"`, `"e"`, `"b"`, `"f"`)...) }
	later := []string{`:0,`, `:10,`, `:9,`, `:19,`}
	for name, one := range map[string]struct {
		second string
		wanted porcupine.CheckResult
	}{
		"later, and behind":              {other(append(later, `"queue_number":1`, `"queue_number":7`)...), porcupine.Ok},
		"later, and in front":            {other(append(later, `"queue_number":1`, `"queue_number":0`)...), porcupine.Illegal},
		"at the same time, in front":     {other(`"queue_number":1`, `"queue_number":0`), porcupine.Ok},
		"at the same time, and the same": {other(), porcupine.Illegal},
	} {
		if found := verified(t, joined, one.second); found.line != one.wanted {
			t.Errorf("%s: %s", name, found.line)
		}
	}
}

func TestAnInvalidLineIsReported(t *testing.T) {
	for text, wanted := range map[string]string{
		"":                  "line 1 is not a first line",
		head + "{":          "line 2 is not a call",
		head + `{"op":"x"}`: `line 2: op is "x"`,
	} {
		if _, err := read(strings.NewReader(text)); err == nil || !strings.HasPrefix(err.Error(), wanted) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
