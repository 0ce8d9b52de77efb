package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/policy"
)

// child is the other process of the crash and disk tests: it opens the store at STORE_TEST_DIR, says "ready", and writes
// facts and webhooks until it is killed or its input ends, printing each one once it is acknowledged.
func child(role string) {
	cfg := Config{Dir: os.Getenv("STORE_TEST_DIR"), Key: testKey}
	if role == "tiny" {
		cfg.Limits = tinyLimits
	} else {
		cfg.Limits.Ballast = -1
	}
	run := childRun
	if role == "reserver" {
		run = reserveRun
	}
	if err := run(cfg, os.Getenv("STORE_TEST_RUN")); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
}

func childRun(cfg Config, run string) error {
	s, err := Open(cfg)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	go func() { // ends with the process or its input
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		close(stop)
	}()
	out := bufio.NewWriter(os.Stdout)
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(out, format+"\n", args...)
		_ = out.Flush()
	}
	say("ready")
	ctx := context.Background()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return s.Close()
		default:
		}
		id := fmt.Sprintf("%s-%06d", run, i)
		cdr := testCDR(id, bridge.Customer{ID: "c" + run})
		cdr.Payload = strings.Repeat("p", 2000)
		if i%2 == 1 {
			cdr.EndedAt = noon
		}
		switch err := s.Record(ctx, bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: cdr}); {
		case err == nil && s.Level() < Full:
			say("call %s", id)
		case err == nil:
			say("kept %s", id) // in memory: promised only once the disk takes it
			time.Sleep(10 * time.Millisecond)
		default:
			say("refused %v", err)
			time.Sleep(10 * time.Millisecond)
		}
		switch _, err := s.Put(ctx, "in-"+id, bytes.Repeat([]byte("w"), 3000)); {
		case err == nil:
			say("inbox in-%s", id)
		case errors.Is(err, ErrDiskFull):
			say("full")
		default:
			say("refused %v", err)
		}
	}
}

// reserveLimit is how many attempts reserveRun allows each customer, over all lines and all processes.
const reserveLimit = 3

// reserveRun takes the attempts of one customer after the other, by four agents at once, and says each one it got: that is
// when a connect would be sent.
func reserveRun(cfg Config, run string) error {
	s, err := Open(cfg)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	say("ready")
	var agents sync.WaitGroup
	for agent := range 4 {
		agents.Go(func() {
			for i := 0; i < 100_000; i++ {
				who, id := fmt.Sprint("c", i/2), fmt.Sprintf("%s-%d-%06d", run, agent, i)
				got, err := s.Reserve(context.Background(), fmt.Sprint("line", agent), who, func(_, global policy.State) (policy.Event, bool) {
					return attempt(id, noon), len(global.Attempts) < reserveLimit
				})
				if err != nil {
					say("refused %v", err)
					return
				}
				if got.Reserved {
					say("%s %s", who, id)
				}
			}
		})
	}
	agents.Wait()
	return s.Close()
}

type childProc struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	stdin interface{ Close() error }
	errs  *bytes.Buffer
}

func startChild(t *testing.T, role, dir, run string) *childProc {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "STORE_TEST_CHILD="+role, "STORE_TEST_DIR="+dir, "STORE_TEST_RUN="+run)
	p := &childProc{cmd: cmd, errs: &bytes.Buffer{}}
	cmd.Stderr = p.errs
	in, err := cmd.StdinPipe()
	must(t, err)
	p.stdin = in
	r, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	p.lines = bufio.NewScanner(r)
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return p
}
