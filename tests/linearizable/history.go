package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// call is one line of a history, described in docs/reliability.md.
type call struct {
	Client  string `json:"client"`
	Op      string `json:"op"`
	Request string `json:"request"`
	Of      string `json:"of"`
	Payment string `json:"payment"`
	// Whether a late payment asks for another reservation.
	Reacquire bool   `json:"reacquire"`
	Start     int64  `json:"start"`
	End       int64  `json:"end"`
	Outcome   string `json:"outcome"`
	Reason    string `json:"reason"`
	Booking   string `json:"booking"`
	MadeBy    string `json:"made_by"`
	Place     uint64 `json:"queue_number"`
	State     string `json:"state"`
	Follows   string `json:"follows"`
	// Whether Enqueue returned an existing booking.
	Existing bool `json:"existing"`
}

// read returns the calls of a history in the order of its lines.
func read(history io.Reader) ([]call, error) {
	lines := bufio.NewScanner(history)
	lines.Buffer(nil, 1<<20)
	var head struct {
		EpochMs *uint64 `json:"epoch_ms"`
	}
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &head) != nil || head.EpochMs == nil {
		return nil, fmt.Errorf("line 1 is not a first line with \"seed\" and \"epoch_ms\"")
	}
	var calls []call
	sockets := map[string]bool{}
	for number := 2; lines.Scan(); number++ {
		var next call
		if err := json.Unmarshal(lines.Bytes(), &next); err != nil {
			return nil, fmt.Errorf("line %d is not a call: %w", number, err)
		}
		// An update shows what was, at a moment of the sender's choice: it is no call.
		if next.Op == "watch" {
			sockets[next.Client] = true
			continue
		}
		if err := next.check(); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		calls = append(calls, next)
	}
	return repeated(calls, sockets), lines.Err()
}

// repeated adds the tries that a gateway made by itself: it repeats a join of unknown outcome at
// another worker, and answers with the booking that its own earlier try has made.
func repeated(calls []call, sockets map[string]bool) []call {
	var all []call
	for _, c := range calls {
		if sockets[c.Client] && c.Op == "enqueue" && c.Outcome == "ok" && c.Existing {
			all = append(all, call{
				Client: c.Client, Op: c.Op, Request: c.Request, Start: c.Start, End: c.Start, Outcome: "unknown",
			})
		}
		all = append(all, c)
	}
	return all
}

func (c *call) check() error {
	switch c.Op {
	case "enqueue", "status", "cancel", "pay":
	default:
		return fmt.Errorf("op is %q; allowed: enqueue, status, watch, cancel, pay", c.Op)
	}
	switch c.Outcome {
	case "ok", "refused", "unknown":
	default:
		return fmt.Errorf("outcome is %q; allowed: ok, refused, unknown", c.Outcome)
	}
	if c.End < c.Start {
		return fmt.Errorf("it ends at %d, before its start at %d", c.End, c.Start)
	}
	return nil
}
