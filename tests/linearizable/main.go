// Command linearizable says whether a history of `cargo xtask faults` is linearizable: whether each call can have happened at
// one moment between its beginning and its end. Porcupine decides; the models here say what a queue may answer.
package main

import (
	"fmt"
	"io"
	"os"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// How long the search may take for one client, or for the line.
const patience = time.Minute

// Clients that are named when their calls are not linearizable.
const named = 10

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
	verdict := judge(calls)
	verdict.tell(os.Stdout)
	if !verdict.good() {
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

// verdict is what was found.
type verdict struct {
	calls, clients, places int
	// Whose calls are not linearizable, each with its calls.
	broken map[string][]call
	// What Porcupine says of the places of all.
	line porcupine.CheckResult
	// Clients for which the search took too long.
	open int
}

func (v verdict) good() bool {
	return len(v.broken) == 0 && v.line == porcupine.Ok && v.open == 0
}

func judge(calls []call) verdict {
	byClient := map[string][]call{}
	for _, c := range calls {
		byClient[c.Client] = append(byClient[c.Client], c)
	}
	found := verdict{calls: len(calls), clients: len(byClient), broken: map[string][]call{}}
	model := oneClient()
	for who, theirs := range byClient {
		var operations []porcupine.Operation
		for _, c := range theirs {
			operations = append(operations, operation(c))
			if c.Outcome == "ok" && (c.Op == "pay" || c.Op == "cancel") {
				// It changes the booking at one moment and shows it at a later one: a payment that has won is confirmed before it
				// is answered.
				c.Op = "status"
				operations = append(operations, operation(c))
			}
		}
		switch porcupine.CheckOperationsTimeout(model, operations, patience) {
		case porcupine.Illegal:
			found.broken[who] = theirs
		case porcupine.Unknown:
			found.open++
		}
	}
	model, places := line(calls)
	found.places = len(places)
	found.line = porcupine.CheckOperationsTimeout(model, places, patience)
	return found
}

func (v verdict) tell(to io.Writer) {
	fmt.Fprintf(to, "%d calls of %d clients, %d new places\n", v.calls, v.clients, v.places)
	fmt.Fprintf(to, "each client's calls: %d not linearizable, %d not decided within %s\n", len(v.broken), v.open, patience)
	fmt.Fprintf(to, "the order of places: %s\n", v.line)
	var whose []string
	for who := range v.broken {
		whose = append(whose, who)
	}
	sort.Strings(whose)
	for _, who := range whose[:min(named, len(whose))] {
		fmt.Fprintf(to, "not linearizable: %s\n", who)
		for _, c := range v.broken[who] {
			fmt.Fprintf(to, "  %d-%d %s %s%s%s: %s %s%s %s %s %s\n", c.Start, c.End, c.Op, c.Request, c.Of, c.Payment,
				c.Outcome, c.Reason, c.State, c.Booking, c.MadeBy, c.Follows)
		}
	}
}
