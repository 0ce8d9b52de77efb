package appliance

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// memoryKeeper keeps settings the way the App does, without a store.
type memoryKeeper struct {
	mu      sync.Mutex
	current *Settings
	applied int
	refuse  error
}

func (k *memoryKeeper) Settings() *Settings {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}

func (k *memoryKeeper) Apply(_ context.Context, next *Settings) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refuse != nil {
		return k.refuse
	}
	k.current, k.applied = next, k.applied+1
	return nil
}

type fixedReporter struct{ panics bool }

func (r fixedReporter) Status() Status {
	if r.panics {
		panic("a bug")
	}
	return Status{Version: "1.2.3", Ready: "ready", Calls: 1, Trunks: []MemberStatus{{"pbx", "registered"}}}
}

func (r fixedReporter) Calls() []CallStatus {
	return []CallStatus{{ID: "c1", Direction: "inbound", Line: "sales", State: "talking"}}
}

func startControl(t *testing.T, k *memoryKeeper, r Reporter) (*ControlClient, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "db") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c, err := NewControl(dir, k, r, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(c.Stop(ctx), c.Stop(ctx)); err != nil {
			t.Errorf("stop: %v", err)
		}
		if exists(filepath.Join(dir, SocketName)) {
			t.Error("the socket is still there")
		}
	})
	return NewControlClient(dir), dir
}

func TestSettingsTravelOverTheControlSocket(t *testing.T) {
	keeper := &memoryKeeper{current: &Settings{}}
	client, _ := startControl(t, keeper, fixedReporter{})
	ctx := t.Context()

	changes, err := client.Diff(ctx, "s.yaml", strings.NewReader(goodSettings))
	if err != nil || len(changes) == 0 || keeper.applied != 0 {
		t.Fatalf("diff: %d changes, applied %d, %v", len(changes), keeper.applied, err)
	}
	changes, err = client.Apply(ctx, "s.yaml", strings.NewReader(goodSettings))
	if err != nil || len(changes) == 0 || keeper.applied != 1 {
		t.Fatalf("apply: %d changes, applied %d, %v", len(changes), keeper.applied, err)
	}
	if changes, err = client.Apply(ctx, "s.yaml", strings.NewReader(goodSettings)); err != nil || len(changes) != 0 || keeper.applied != 1 {
		t.Fatalf("second apply is no no-op: %v, applied %d, %v", changes, keeper.applied, err)
	}
	var doc bytes.Buffer
	if err := client.Export(ctx, &doc); err != nil {
		t.Fatal(err)
	}
	for _, secret := range secretValues {
		if strings.Contains(doc.String(), secret) {
			t.Errorf("the export shows %q", secret)
		}
	}
	if changes, err = client.Apply(ctx, "s.yaml", &doc); err != nil || len(changes) != 0 {
		t.Fatalf("applying the export: %v, %v", changes, err)
	}
	if got := keeper.Settings().Phones[0].Password.Reveal(); got != "phone password" {
		t.Errorf("the password became %q", got)
	}
}

func TestBadDocumentChangesNothingAndComesBackWithItsProblems(t *testing.T) {
	keeper := &memoryKeeper{current: &Settings{}}
	client, _ := startControl(t, keeper, fixedReporter{})
	_, err := client.Apply(t.Context(), "mine.yaml", strings.NewReader("lines: [{id: A}]\nphones: 1\n"))
	list := ConfigErrors(err)
	if len(list) < 3 || list[0].File != "mine.yaml" || list[0].Line == 0 || keeper.applied != 0 {
		t.Errorf("applied %d, %v", keeper.applied, err)
	}
	_, err = client.Apply(t.Context(), "big.yaml", io.LimitReader(zeros{}, maxDocument+1))
	if err == nil || !strings.Contains(err.Error(), "1 MiB") {
		t.Errorf("too large a document: %v", err)
	}
	keeper.refuse = errors.New("the store is full")
	if _, err = client.Apply(t.Context(), "mine.yaml", strings.NewReader(goodSettings)); err == nil || err.Error() != "the store is full" {
		t.Errorf("refused by the keeper: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '#'
	}
	return len(p), nil
}

func TestStatusAndCallsOverTheControlSocket(t *testing.T) {
	client, dir := startControl(t, &memoryKeeper{}, fixedReporter{})
	s, err := client.Status(t.Context())
	if err != nil || s.Version != "1.2.3" || len(s.Trunks) != 1 || s.Trunks[0].State != "registered" {
		t.Errorf("%+v, %v", s, err)
	}
	calls, err := client.Calls(t.Context())
	if err != nil || len(calls) != 1 || calls[0].ID != "c1" {
		t.Errorf("%+v, %v", calls, err)
	}
	if st, err := os.Stat(filepath.Join(dir, SocketName)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket mode %v, %v", st.Mode(), err)
	}
}

func TestPanicInARequestLeavesTheSocketServing(t *testing.T) {
	client, _ := startControl(t, &memoryKeeper{}, fixedReporter{panics: true})
	if _, err := client.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("got %v", err)
	}
	if _, err := client.Calls(t.Context()); err != nil {
		t.Errorf("after the panic: %v", err)
	}
}

func TestClientSaysThatNoDaemonRuns(t *testing.T) {
	if _, err := NewControlClient(t.TempDir()).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v", err)
	}
}

func TestSocketLeftByAKilledDaemonIsReplaced(t *testing.T) {
	dir, err := os.MkdirTemp("", "db")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{SocketName, ".control"} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		_ = l.Close()
	}
	if _, err := NewControlClient(dir).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a dead socket: %v", err)
	}
	c, err := NewControl(dir, &memoryKeeper{}, fixedReporter{}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	if _, err := NewControlClient(dir).Status(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestControlRefusesUnknownRequests(t *testing.T) {
	client, _ := startControl(t, &memoryKeeper{current: &Settings{}}, fixedReporter{})
	for _, r := range [][2]string{{http.MethodDelete, "/settings"}, {http.MethodGet, "/nothing"}} {
		if _, err := client.do(t.Context(), r[0], r[1], nil); err == nil {
			t.Errorf("%v accepted", r)
		}
	}
}
