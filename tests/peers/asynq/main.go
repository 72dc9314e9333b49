// Driver of asynq for `cargo xtask bench peers`. The flags are those of every driver, see ../README.md.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
)

const kind = "job"

var (
	redisAddress = flag.String("redis", "", "host:port")
	mode         = flag.String("mode", "", "add, work or both")
	jobs         = flag.Int("jobs", 0, "jobs to add")
	warmUp       = flag.Int("warm-up", 0, "jobs to add before the clock starts")
	inFlight     = flag.Int("in-flight", 1, "calls in flight")
	rate         = flag.Float64("rate", 0, "both: jobs a second, independent of answers; 0: as fast as in-flight allows")
	window       = flag.Int("window", 1000, "both, without rate: jobs added and not yet started, at most")
	settle       = flag.Duration("settle", 0, "both: jobs due before this are not among the latencies")
	concurrency  = flag.Int("concurrency", 64, "jobs in progress")
	busy         = flag.Duration("busy", 0, "duration of a job")
)

// payload is 64 bytes: the due time of the job, in nanoseconds after start, and padding.
func payload(due time.Duration) []byte {
	return []byte(fmt.Sprintf("%020d%s", due.Nanoseconds(), strings.Repeat("x", 44)))
}

type figures struct {
	Jobs    int     `json:"jobs"`
	Seconds float64 `json:"seconds"`
	P50     float64 `json:"p50_ms,omitempty"`
	P99     float64 `json:"p99_ms,omitempty"`
	P999    float64 `json:"p999_ms,omitempty"`
}

func main() {
	flag.Parse()
	options := asynq.RedisClientOpt{Addr: *redisAddress, PoolSize: 2 * max(*inFlight, *concurrency)}
	var err error
	switch *mode {
	case "add":
		err = add(options)
	case "work":
		err = work(options)
	case "both":
		err = both(options)
	default:
		err = fmt.Errorf("-mode is %q; allowed: add, work, both", *mode)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func add(options asynq.RedisClientOpt) error {
	client := asynq.NewClient(options)
	defer client.Close()
	none := func() time.Duration { return 0 }
	if err := enqueue(client, *warmUp, none); err != nil {
		return err
	}
	start := time.Now()
	if err := enqueue(client, *jobs, none); err != nil {
		return err
	}
	return report(figures{Jobs: *jobs, Seconds: time.Since(start).Seconds()})
}

// enqueue adds count jobs, *inFlight at once. due returns the due time of a job when it may be added.
func enqueue(client *asynq.Client, count int, due func() time.Duration) error {
	var next atomic.Int64
	failed := make(chan error, *inFlight)
	var lanes sync.WaitGroup
	for range *inFlight {
		lanes.Go(func() {
			for next.Add(1) <= int64(count) {
				if _, err := client.Enqueue(asynq.NewTask(kind, payload(due()))); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	lanes.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func serve(options asynq.RedisClientOpt, handler asynq.HandlerFunc) (*asynq.Server, error) {
	server := asynq.NewServer(options, asynq.Config{
		Concurrency:       *concurrency,
		TaskCheckInterval: 10 * time.Millisecond,
		LogLevel:          asynq.FatalLevel,
	})
	return server, server.Start(handler)
}

func work(options asynq.RedisClientOpt) error {
	server, err := serve(options, func(context.Context, *asynq.Task) error {
		rest()
		return nil
	})
	if err != nil {
		return err
	}
	parentEndsUs()
	server.Shutdown()
	return nil
}

func rest() {
	if *busy > 0 {
		time.Sleep(*busy)
	}
}

func both(options asynq.RedisClientOpt) error {
	waits := make([]float64, 0, *jobs)
	room := make(chan struct{}, *window)
	started := 0
	var lock sync.Mutex
	handled := make(chan struct{})
	start := time.Now()
	server, err := serve(options, func(_ context.Context, task *asynq.Task) error {
		now := time.Since(start)
		due, err := strconv.ParseInt(string(task.Payload()[:20]), 10, 64)
		if err != nil {
			return err
		}
		lock.Lock()
		if started++; started == *jobs {
			close(handled)
		}
		if due >= settle.Nanoseconds() {
			waits = append(waits, float64(now.Nanoseconds()-due)/1e6)
		}
		lock.Unlock()
		if *rate == 0 {
			<-room
		}
		rest()
		return nil
	})
	if err != nil {
		return err
	}
	client := asynq.NewClient(options)
	defer client.Close()
	if *rate > 0 {
		err = offer(client, start)
	} else {
		err = enqueue(client, *jobs, func() time.Duration { room <- struct{}{}; return time.Since(start) })
	}
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { parentEndsUs(); close(ended) }()
	select {
	case <-handled:
	case <-ended:
		return fmt.Errorf("the parent ended this driver before all %d jobs were handled", *jobs)
	}
	seconds := time.Since(start).Seconds()
	// All handlers have released the lock, so waits is complete.
	lock.Lock()
	slices.Sort(waits)
	lock.Unlock()
	at := func(share float64) float64 { return waits[int(share*float64(len(waits)-1))] }
	if err := report(figures{*jobs, seconds, at(0.5), at(0.99), at(0.999)}); err != nil {
		return err
	}
	<-ended
	server.Shutdown()
	return nil
}

// offer adds jobs when they are due, whether or not the earlier ones have been answered.
func offer(client *asynq.Client, start time.Time) error {
	failed := make(chan error, *jobs)
	var under sync.WaitGroup
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for sent := 0; sent < *jobs; <-tick.C {
		for now := time.Since(start); sent < *jobs; sent++ {
			due := time.Duration(float64(sent) / *rate * 1e9)
			if due > now {
				break
			}
			under.Go(func() {
				if _, err := client.Enqueue(asynq.NewTask(kind, payload(due))); err != nil {
					failed <- err
				}
			})
		}
	}
	under.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// parentEndsUs waits until standard input ends: also when the parent is gone.
func parentEndsUs() {
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func report(what figures) error {
	return json.NewEncoder(os.Stdout).Encode(what)
}
