package appliance

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// supervisor plays systemd's end of the notification socket.
func supervisor(t *testing.T) func() string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "n")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		b := make([]byte, 256)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestSystemdHearsReadyStatusAndStopping(t *testing.T) {
	next := supervisor(t)
	n := NewNotifier()
	if err := errors.Join(n.Ready(), n.Status("2 calls\nREADY=0"), n.Stopping()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"READY=1", "STATUS=2 calls READY=0", "STOPPING=1"} {
		if got := next(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWatchdogIsFedOnlyWhileAlive(t *testing.T) {
	next := supervisor(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", "")
	n := NewNotifier()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	beats := make(chan struct{}, 100)
	sick := errors.New("stuck")
	go func() {
		count := 0
		ended <- n.Watch(ctx, func() error {
			beats <- struct{}{}
			if count++; count > 2 {
				return sick
			}
			return nil
		})
	}()
	for range 2 {
		if got := next(); got != "WATCHDOG=1" {
			t.Errorf("got %q", got)
		}
	}
	for range 4 {
		<-beats
	}
	cancel()
	if err := <-ended; !errors.Is(err, sick) {
		t.Errorf("Watch returned %v", err)
	}
	if err := n.Stopping(); err != nil {
		t.Fatal(err)
	}
	if got := next(); got != "STOPPING=1" {
		t.Errorf("the watchdog was fed while not alive: %q", got)
	}
}

func TestWithoutSystemdNothingHappens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n := NewNotifier()
	if err := errors.Join(n.Ready(), n.Watch(t.Context(), func() error { return errors.New("asked") })); err != nil {
		t.Error(err)
	}
}
