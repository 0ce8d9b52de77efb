//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"deskbridge/appliance"
)

// The product under load is a process of its own: this test binary started again to run nothing but TestProductProcess.
// What it reports is therefore the product's and not its tester's: CPU by its own clock, allocations and memory by the Go
// runtime, goroutines and open files.

const productEnv = "DESKBRIDGE_E2E_PRODUCT"

// productConfig is what the product process is told.
type productConfig struct {
	Dir       string
	Graph     string // base URL of Meta
	Trunk     string // host:port that is rung
	Codec     string
	MaxCalls  int
	AllAllocs bool // sample every allocation, to name where they come from
	Record    bool // every call
}

// productReady is what it tells of itself.
type productReady struct{ SIP, Webhook string }

// usage is a look at the product. Live figures are after a collection.
type usage struct {
	At         time.Time
	CPU        time.Duration // user and system
	Mallocs    uint64
	HeapLive   uint64
	Stacks     uint64
	Resident   uint64
	Goroutines int
	Files      int
	Recorded   float64 // packets in recordings
	LostIn     float64 // packets that never came to it, by its own count, of calls that are over
}

type product struct {
	productReady
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	log string
}

// startProduct runs the appliance in another process until the test ends.
func startProduct(t testing.TB, c productConfig) *product {
	t.Helper()
	c.Dir = t.TempDir()
	env, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	p := &product{cmd: exec.Command(os.Args[0], "-test.run=^TestProductProcess$", "-test.timeout=30m"), log: filepath.Join(c.Dir, "log")}
	p.cmd.Env = append(os.Environ(), productEnv+"="+string(env))
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	p.out.Buffer(nil, 1<<20)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.in.Close() // that ends it
		for p.out.Scan() {
		}
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("product process: %v", err)
		}
		if t.Failed() {
			text, _ := os.ReadFile(p.log)
			t.Logf("appliance log:\n%s", tail(string(text), 60))
		}
	})
	p.read(t, &p.productReady)
	return p
}

// read waits for the next answer.
func (p *product) read(t testing.TB, v any) {
	t.Helper()
	for p.out.Scan() {
		if text, ok := strings.CutPrefix(p.out.Text(), "@"); ok {
			if err := json.Unmarshal([]byte(text), v); err != nil {
				t.Fatal(err)
			}
			return
		}
		t.Log(p.out.Text())
	}
	t.Fatalf("the product process ended: %v", p.out.Err())
}

func (p *product) ask(t testing.TB, command string, v any) {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, command); err != nil {
		t.Fatal(err)
	}
	p.read(t, v)
}

// look asks for the figures; with collect after a garbage collection.
func (p *product) look(t testing.TB, collect bool) (u usage) {
	t.Helper()
	command := "look"
	if collect {
		command = "collect"
	}
	p.ask(t, command, &u)
	return u
}

// profile starts ("file") or stops ("") a CPU profile. What was allocated until then is in file+".mem0" and file+".mem":
// go tool pprof -sample_index=alloc_objects -diff_base FILE.mem0 FILE.mem
func (p *product) profile(t testing.TB, file string) {
	t.Helper()
	var said string
	if p.ask(t, "profile "+file, &said); said != "" {
		t.Fatal(said)
	}
}

// TestProductProcess is the product process; without its environment it is nothing.
func TestProductProcess(t *testing.T) {
	env := os.Getenv(productEnv)
	if env == "" {
		t.Skip("started by the load tests")
	}
	var c productConfig
	if err := json.Unmarshal([]byte(env), &c); err != nil {
		t.Fatal(err)
	}
	if c.AllAllocs {
		runtime.MemProfileRate = 1
	}
	app := productApp(t, c)
	tell := func(v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("@%s\n", b)
	}
	tell(productReady{SIP: app.SIPAddr().String(), Webhook: app.WebhookAddr()})
	var profiling *os.File
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		command, file, _ := strings.Cut(in.Text(), " ")
		switch command {
		case "collect":
			runtime.GC()
			runtime.GC() // what finalizers and pools held
			u := lookAtSelf()
			u.LostIn = metric(app, "deskbridge_rtp_lost_total")
			u.Recorded = metric(app, "deskbridge_recorder_packets_total")
			tell(u)
		case "look":
			tell(lookAtSelf())
		case "profile":
			tell(toggleProfile(&profiling, file))
		}
	}
}

func productApp(t *testing.T, c productConfig) *appliance.App {
	cfg := appliance.DefaultConfig()
	cfg.DataDir = filepath.Join(c.Dir, "data")
	cfg.Graph.BaseURL = c.Graph
	cfg.Webhook.Listen, cfg.Admin.Listen, cfg.Metrics.Listen = "127.0.0.1:0", "", ""
	cfg.SIP.UDP, cfg.SIP.TCP = "127.0.0.1:0", ""
	cfg.WebRTC.Address = "127.0.0.1"
	cfg.Calls.Max = c.MaxCalls
	cfg.DrainLimit = time.Second
	log, err := os.Create(filepath.Join(c.Dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	app, err := appliance.New(cfg, appliance.Options{Version: "load", Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		if err := app.Stop(ctx); err != nil {
			t.Error(err)
		}
		_ = log.Close()
	})
	trunk := netip.MustParseAddrPort(c.Trunk)
	var recording appliance.LineRecording
	if c.Record {
		recording.Mode = "always"
	}
	err = app.ApplySettings(t.Context(), &appliance.Settings{
		Lines: []appliance.Line{{
			ID: lineID, Name: "Main", Enabled: true, PhoneNumberID: numberID, DisplayNumber: "+" + displayNumber, Country: "DE",
			AppSecret: appliance.NewSecret(appSecret), VerifyToken: appliance.NewSecret(verifyToken), AccessToken: appliance.NewSecret(accessToken),
			Inbound:   appliance.InboundRoute{Enabled: true, Ring: []string{"trunk:load/200"}},
			Recording: recording,
		}},
		Trunks: []appliance.Trunk{{
			Name: "load", Enabled: true, Host: trunk.Addr().String(), Port: int(trunk.Port()), Transport: "udp",
			Addresses: []string{trunk.Addr().String()}, Codecs: []string{c.Codec}, PTime: 20 * time.Millisecond, Expires: 5 * time.Minute,
			Extensions: []string{"2xx"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return app
}

func lookAtSelf() usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{At: time.Now(), CPU: ownCPU(), Mallocs: m.Mallocs, HeapLive: m.HeapAlloc, Stacks: m.StackInuse, Goroutines: runtime.NumGoroutine()}
	if f, err := os.ReadDir("/proc/self/fd"); err == nil {
		u.Files = len(f)
	}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		var total uint64
		_, _ = fmt.Sscan(string(b), &total, &u.Resident)
		u.Resident *= uint64(os.Getpagesize())
	}
	return u
}

// metric is the sum of a counter over its labels; -1 when there is none of that name.
func metric(app *appliance.App, name string) float64 {
	families, err := app.Registry().Gather()
	if err != nil {
		return -1
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		sum := 0.0
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue()
		}
		return sum
	}
	return -1
}

// ownCPU is what this process has used so far. getrusage would say the same in steps of a timer tick.
func ownCPU() time.Duration { return cpuClock(unix.CLOCK_PROCESS_CPUTIME_ID) }

func cpuClock(id int32) time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(id, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

func toggleProfile(open **os.File, file string) string {
	err := errors.New("no profile is running")
	if file != "" {
		if err = writeAllocs(file + ".mem0"); err == nil {
			if *open, err = os.Create(file); err == nil {
				err = pprof.StartCPUProfile(*open)
			}
		}
	} else if f := *open; f != nil {
		pprof.StopCPUProfile()
		*open = nil
		err = errors.Join(f.Close(), writeAllocs(f.Name()+".mem"))
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func writeAllocs(file string) error {
	runtime.GC() // the profile is as of the last but one collection
	runtime.GC()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}
