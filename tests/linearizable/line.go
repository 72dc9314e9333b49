package main

import (
	"slices"

	"github.com/anishathalye/porcupine"
)

// line is the model of the places that all clients together were given: they are given one after another, in the order of
// their tickets. Which tickets were given without anybody hearing of it is not known, so the known ones are counted.
func line(calls []call) (porcupine.Model, []porcupine.Operation) {
	var given []porcupine.Operation
	var tickets []uint64
	for _, c := range calls {
		if c.Op == "enqueue" && c.Outcome == "ok" && !c.Existing {
			given = append(given, operation(c))
			tickets = append(tickets, c.Ticket)
		}
	}
	slices.Sort(tickets)
	return porcupine.Model{
		Init: func() any { return 0 },
		Step: func(state, _, answer any) (bool, any) {
			next := state.(int)
			twice := next > 0 && tickets[next-1] == tickets[next]
			return tickets[next] == answer.(call).Ticket && !twice, next + 1
		},
	}, given
}

func operation(c call) porcupine.Operation {
	return porcupine.Operation{Input: c.Op, Output: c, Call: c.Start, Return: c.End}
}
