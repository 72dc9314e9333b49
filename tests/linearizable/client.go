package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// The model of one client: its bookings, one call after another. Workers and the sweeper act
// between any two calls (evolve). A call with an unknown outcome can take effect at any time after
// its start, so it becomes pending and takes effect, or not, between later calls. All calls are
// idempotent, so the model applies each at most once.

// booking is one booking, as far as the calls so far show it.
type booking struct {
	// Unknown ("", 0) while the call that made it had no answer.
	id      string
	place   uint64
	request string
	state   string
	// The final state that follows a release.
	follows string
	payment string
	// The client cancelled while a worker was reserving.
	left bool
	// A worker asked for it: a late Reserve may still arrive.
	asked bool
}

// client is the state of the model. It is immutable.
type client struct {
	newest *booking
	// Replaced bookings, which are final, by their requests.
	earlier map[string]booking
	pending []call
}

func (b booking) final() bool {
	switch b.state {
	case "confirmed", "sold_out", "rejected", "expired", "cancelled", "failed":
		return true
	}
	return false
}

func (b booking) becomes(state string) booking {
	b.state = state
	return b
}

// parked returns the booking after a refusal at the moment: it waits again.
func (b booking) parked() booking {
	b.asked = true
	return b.becomes("queued")
}

func (b booking) released(follows string) booking {
	b.state, b.follows = "releasing", follows
	return b
}

// next returns the bookings that workers and the sweeper can turn it into.
func (b booking) next() []booking {
	switch b.state {
	case "queued":
		ends := []booking{b.becomes("reserving"), b.becomes("sold_out")}
		if b.asked {
			ends = append(ends, b.released("sold_out"))
		}
		return ends
	case "reserving":
		// It is released if a Reserve before the refused one may still arrive.
		ends := []booking{b.becomes("sold_out"), b.becomes("rejected"), b.released("sold_out"), b.released("rejected")}
		if b.left {
			return append(ends, b.released("cancelled"))
		}
		ends = append(ends, b.released("failed"))
		if b.payment != "" {
			return append(ends, b.becomes("confirming"))
		}
		return append(ends, b.becomes("reserved"), b.parked())
	case "reserved":
		return []booking{b.released("expired")}
	case "confirming":
		return []booking{b.becomes("confirmed"), b.released("failed")}
	case "releasing":
		return []booking{b.becomes(b.follows)}
	}
	return nil
}

// matches takes over the ids of an answer. It returns false if the answer shows another booking.
func (b booking) matches(c call) (booking, bool) {
	fits := b.state == c.State && b.request == c.MadeBy &&
		(b.id == "" || b.id == c.Booking) && (b.place == 0 || b.place == c.Place) &&
		(b.state != "releasing" || b.follows == c.Follows)
	b.id, b.place = c.Booking, c.Place
	return b, fits
}

func (s client) with(b booking) client {
	s.newest = &b
	return s
}

// joins replaces the newest booking, which is final.
func (s client) joins(b booking) client {
	if s.newest != nil {
		s.earlier = maps.Clone(s.earlier)
		if s.earlier == nil {
			s.earlier = map[string]booking{}
		}
		s.earlier[s.newest.request] = *s.newest
	}
	s.newest = &b
	return s
}

// has returns the booking that a request made.
func (s client) has(request string) (b booking, newest, found bool) {
	if s.newest != nil && s.newest.request == request {
		return *s.newest, true, true
	}
	b, found = s.earlier[request]
	return b, false, found
}

// is reports whether the newest booking has this id.
func (s client) is(id string) bool {
	return s.newest != nil && s.newest.id == id
}

// reacquired returns the request of the booking that a late payment of another one makes.
func reacquired(expired string) string { return "reacquire " + expired }

// pays returns the booking after a payment, and whether the queue accepts it.
func (b booking) pays(payment string) (booking, bool) {
	if b.state == "reserved" {
		b.payment = payment
		return b.becomes("confirming"), true
	}
	return b, b.payment == payment
}

// leaves returns the booking after a cancellation, and whether the queue accepts it.
func (b booking) leaves() (booking, bool) {
	switch b.state {
	case "queued":
		if b.asked {
			return b.released("cancelled"), true
		}
		return b.becomes("cancelled"), true
	case "reserving":
		b.left = true
		return b, true
	case "reserved":
		return b.released("cancelled"), true
	case "releasing", "cancelled":
		return b, true
	}
	return b, false
}

// done returns the state after a pending call takes effect, and whether it has an effect.
func (s client) done(c call) (client, bool) {
	switch c.Op {
	case "enqueue":
		_, _, found := s.has(c.Request)
		if found || (s.newest != nil && !s.newest.final()) {
			return s, false
		}
		return s.joins(booking{request: c.Request, state: "queued"}), true
	case "pay":
		if s.is(c.Of) && c.Reacquire && s.newest.state == "expired" {
			return s.joins(booking{request: reacquired(c.Of), state: "reserving", payment: c.Payment}), true
		}
		if s.is(c.Of) {
			b, ok := s.newest.pays(c.Payment)
			return s.with(b), ok
		}
	case "cancel":
		if s.is(c.Of) {
			b, ok := s.newest.leaves()
			return s.with(b), ok
		}
	}
	return s, false
}

// evolve returns every state that this one can become before the next call, including itself.
func (s client) evolve() []client {
	states, seen := []client{s}, map[string]bool{s.key(): true}
	add := func(next client) {
		if key := next.key(); !seen[key] {
			seen[key] = true
			states = append(states, next)
		}
	}
	for at := 0; at < len(states); at++ {
		from := states[at]
		if from.newest != nil {
			for _, b := range from.newest.next() {
				add(from.with(b))
			}
		}
		for _, c := range from.pending {
			if next, changed := from.done(c); changed {
				add(next)
			}
		}
	}
	return states
}

// answers returns the state after an answered call, and whether the answer is correct.
func (s client) answers(c call) (client, bool) {
	if c.Outcome == "refused" {
		return s, s.refuses(c)
	}
	switch c.Op {
	case "status":
		if s.newest == nil {
			return s, false
		}
		b, ok := s.newest.matches(c)
		return s.with(b), ok
	case "enqueue":
		b, newest, found := s.has(c.Request)
		switch {
		case found && newest:
			b, ok := b.matches(c)
			return s.with(b), ok && c.Existing
		case found:
			_, ok := b.matches(c)
			return s, ok && c.Existing
		case s.newest != nil && !s.newest.final():
			b, ok := s.newest.matches(c)
			return s.with(b), ok && c.Existing
		}
		b, ok := booking{request: c.Request, state: "queued"}.matches(c)
		ordered := s.newest == nil || s.newest.place < c.Place
		return s.joins(b), ok && ordered && !c.Existing
	case "pay", "cancel":
		if c.Op == "pay" && c.Booking != c.Of {
			return s.reacquires(c)
		}
		if !s.is(c.Of) {
			return s, false
		}
		b, yes := s.newest.leaves()
		if c.Op == "pay" {
			b, yes = s.newest.pays(c.Payment)
		}
		return s.with(b), yes
	}
	return s, false
}

// reacquires returns the state after a late payment that is answered with another booking, which the
// call made now, or an earlier one.
func (s client) reacquires(c call) (client, bool) {
	if s.is(c.Of) {
		before := s
		var made bool
		s, made = s.done(c)
		if !made || !c.Reacquire || c.Place <= before.newest.place {
			return s, false
		}
	}
	if s.newest == nil || s.newest.request != reacquired(c.Of) || s.newest.payment != c.Payment {
		return s, false
	}
	b := *s.newest
	known := (b.id == "" || b.id == c.Booking) && (b.place == 0 || b.place == c.Place)
	b.id, b.place = c.Booking, c.Place
	return s.with(b), known && c.MadeBy == b.request
}

func (s client) refuses(c call) bool {
	if c.Reason == "OVERLOADED" {
		return true
	}
	if c.Op == "status" || c.Op == "enqueue" {
		return c.Op == "status" && c.Reason == "BOOKING_NOT_FOUND" && s.newest == nil
	}
	again := c.Op == "pay" && s.newest != nil && s.newest.request == reacquired(c.Of)
	if !s.is(c.Of) && !again {
		return c.Reason == "BOOKING_NOT_FOUND"
	}
	b := *s.newest
	if c.Op == "cancel" {
		_, yes := b.leaves()
		return !yes && c.Reason == "ALREADY_FINAL"
	}
	_, yes := b.pays(c.Payment)
	expired := b.follows == "expired" && (b.state == "releasing" || b.state == "expired")
	switch c.Reason {
	case "NOT_RESERVED":
		return (b.state == "queued" || b.state == "reserving") && b.payment == ""
	case "HOLD_EXPIRED":
		// The history does not contain the clock of Redis: a hold can be overdue at any time.
		return b.state == "reserved" || expired
	case "ALREADY_FINAL":
		return !yes && !expired && (b.payment != "" || b.state != "queued" && b.state != "reserving")
	}
	return false
}

// waits returns the state with one more pending call.
func (s client) waits(c call) client {
	alike := func(p call) bool {
		return p.Op == c.Op && p.Request == c.Request && p.Of == c.Of && p.Payment == c.Payment && p.Reacquire == c.Reacquire
	}
	if c.Op != "status" && !slices.ContainsFunc(s.pending, alike) {
		s.pending = append(slices.Clone(s.pending), c)
	}
	return s
}

func (s client) key() string {
	var text strings.Builder
	if s.newest != nil {
		fmt.Fprintf(&text, "%v", *s.newest)
	}
	for _, request := range slices.Sorted(maps.Keys(s.earlier)) {
		fmt.Fprintf(&text, "|%v", s.earlier[request])
	}
	for _, c := range s.pending {
		fmt.Fprintf(&text, "|%s %s %s %s %t", c.Op, c.Request, c.Of, c.Payment, c.Reacquire)
	}
	return text.String()
}

// oneClient is the model of one client's calls.
func oneClient() porcupine.Model {
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{client{}} },
		Step: func(state, _, answer any) []any {
			s, c := state.(client), answer.(call)
			if c.Outcome == "unknown" {
				return []any{s.waits(c)}
			}
			var after []any
			for _, before := range s.evolve() {
				if next, right := before.answers(c); right {
					after = append(after, next)
				}
			}
			return after
		},
		Equal: func(one, other any) bool { return one.(client).key() == other.(client).key() },
	}
	return model.ToModel()
}
