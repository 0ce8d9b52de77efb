package sip

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"deskbridge/bridge"
)

// sipp runs SIPp in a directory of its own and returns its output when it has ended.
func sipp(t *testing.T, args ...string) func() {
	t.Helper()
	bin, err := exec.LookPath("sipp")
	if err != nil {
		t.Skip("sipp is not installed")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	cmd := exec.CommandContext(ctx, bin, append(args, "-nostdin", "-timeout", "20")...)
	cmd.Dir = t.TempDir()
	out, err := os.Create(filepath.Join(cmd.Dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		defer cancel()
		if err := cmd.Wait(); err != nil {
			b, _ := os.ReadFile(out.Name())
			t.Errorf("sipp %v: %v\n%s", args, err, b)
		}
	}
}

func TestSIPpCallsAndIsCalled(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			r := newRig(t)
			port := freePort(t)
			r.apply(t, Settings{Trunks: []TrunkConfig{{
				Name: "pbx", Host: "127.0.0.1", Port: port, Transport: transport, NoPing: true,
			}}})
			r.board.does(func(w *watched) { w.Alert(); w.Accept() })
			mode, addr := "u1", r.UDPAddr()
			if transport == "tcp" {
				mode, addr = "t1", r.TCPAddr()
			}
			wait := sipp(t, addr.String(), "-sn", "uac", "-s", "4930123", "-i", "127.0.0.1", "-t", mode, "-m", "20", "-r", "20", "-mp", "24000")
			for range 20 {
				r.board.leg(t).expect(t, bridge.EventAccepted, bridge.EventEnded)
			}
			wait()

			wait = sipp(t, "-sn", "uas", "-i", "127.0.0.1", "-p", fmt.Sprint(port), "-t", mode, "-m", "1", "-mp", "24100")
			time.Sleep(300 * time.Millisecond) // SIPp says nowhere that it listens
			leg := r.dial(t, bridge.Invite{Target: "201"})
			leg.expect(t, bridge.EventRinging, bridge.EventAnswered)
			leg.Hangup(normal())
			leg.expect(t, bridge.EventEnded)
			wait()
		})
	}
}
