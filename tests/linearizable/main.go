// Command linearizable verifies that a history of `cargo xtask faults` is linearizable: that each
// call can have taken effect at one moment between its start and its end. Porcupine searches for
// such moments; the models here define the correct answers of a queue.
package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// The limit of the search for one client, or for the line.
const searchLimit = time.Minute

// The most clients to print whose calls are not linearizable.
const printed = 10

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: linearizable HISTORY")
		os.Exit(2)
	}
	calls, err := open(os.Args[1])
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %s: %s\n", os.Args[1], err)
		os.Exit(2)
	}
	found := verify(calls)
	found.print(os.Stdout)
	if !found.good() {
		os.Exit(1)
	}
}

func open(path string) ([]call, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return read(file)
}

// report is the result of a verification.
type report struct {
	calls, clients, places int
	// The calls of each client whose calls are not linearizable.
	broken map[string][]call
	// The result for the places of all clients.
	line porcupine.CheckResult
	// Clients for which the search hit its limit.
	undecided int
}

func (r report) good() bool {
	return len(r.broken) == 0 && r.line == porcupine.Ok && r.undecided == 0
}

func verify(calls []call) report {
	byClient := map[string][]call{}
	for _, c := range calls {
		byClient[c.Client] = append(byClient[c.Client], c)
	}
	found := report{calls: len(calls), clients: len(byClient), broken: map[string][]call{}}
	model := oneClient()
	for client, theirs := range byClient {
		var operations []porcupine.Operation
		for _, c := range theirs {
			operations = append(operations, operation(c))
			if c.Outcome == "ok" && (c.Op == "pay" || c.Op == "cancel") {
				// The call changes the booking at one moment and reads it at a later one: a payment
				// that has won can be confirmed before its answer.
				c.Op = "status"
				operations = append(operations, operation(c))
			}
		}
		switch porcupine.CheckOperationsTimeout(model, operations, searchLimit) {
		case porcupine.Illegal:
			found.broken[client] = theirs
		case porcupine.Unknown:
			found.undecided++
		}
	}
	model, places := line(calls)
	found.places = len(places)
	found.line = porcupine.CheckOperationsTimeout(model, places, searchLimit)
	return found
}

func (r report) print(to io.Writer) {
	fmt.Fprintf(to, "%d calls of %d clients, %d new places\n", r.calls, r.clients, r.places)
	fmt.Fprintf(to, "each client's calls: %d not linearizable, %d not decided within %s\n",
		len(r.broken), r.undecided, searchLimit)
	fmt.Fprintf(to, "the order of places: %s\n", r.line)
	clients := slices.Sorted(maps.Keys(r.broken))
	for _, client := range clients[:min(printed, len(clients))] {
		fmt.Fprintf(to, "not linearizable: %s\n", client)
		for _, c := range r.broken[client] {
			fmt.Fprintf(to, "  %d-%d %s %s%s%s: %s %s%s %s %s %s\n",
				c.Start, c.End, c.Op, c.Request, c.Of, c.Payment,
				c.Outcome, c.Reason, c.State, c.Booking, c.MadeBy, c.Follows)
		}
	}
}
