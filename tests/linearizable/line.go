package main

import (
	"slices"

	"github.com/anishathalye/porcupine"
)

// line is the model of the places of all clients: the queue gives them in ascending order. A place
// whose answer was lost is unknown, so the model goes through the known ones.
func line(calls []call) (porcupine.Model, []porcupine.Operation) {
	var given []porcupine.Operation
	var places []uint64
	for _, c := range calls {
		if c.Op == "enqueue" && c.Outcome == "ok" && !c.Existing {
			given = append(given, operation(c))
			places = append(places, c.Place)
		}
	}
	slices.Sort(places)
	return porcupine.Model{
		Init: func() any { return 0 },
		Step: func(state, _, answer any) (bool, any) {
			next := state.(int)
			twice := next > 0 && places[next-1] == places[next]
			return places[next] == answer.(call).Place && !twice, next + 1
		},
	}, given
}

func operation(c call) porcupine.Operation {
	return porcupine.Operation{Input: c.Op, Output: c, Call: c.Start, Return: c.End}
}
