package sip

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
)

// baresip runs a real phone registered to the rig. Its control port speaks netstrings.
func baresip(t *testing.T, r *rig, user, password, transport string) *net.TCPConn {
	t.Helper()
	bin, err := exec.LookPath("baresip")
	if err != nil {
		t.Skip("baresip is not installed")
	}
	dir := t.TempDir()
	sip, ctl := freePort(t), freePort(t)
	addr := r.UDPAddr()
	if transport == "tcp" {
		addr = r.TCPAddr()
	}
	files := map[string]string{
		"config": fmt.Sprintf(`sip_listen 127.0.0.1:%d
net_interface 127.0.0.1
rtp_ports 23000-23098
audio_source aufile,%s
audio_player aubridge,null1
audio_alert aufile,/dev/null
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
module_path /usr/lib/baresip/modules
module stdio.so
module g711.so
module aufile.so
module aubridge.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:%d
statmode_default off
ringback_disabled yes
`, sip, filepath.Join(dir, "tone.wav"), ctl),
		"accounts": fmt.Sprintf("\"A\" <sip:%s@%s;transport=%s>;auth_pass=%s;regint=60;answermode=auto\n", user, addr, transport, password),
		"contacts": "",
		"tone.wav": wav(8000),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	cmd := exec.CommandContext(ctx, bin, "-f", dir, "-t", "30")
	log, _ := os.Create(filepath.Join(dir, "log"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("baresip:\n%s", b)
		}
	})
	return control(t, ctl)
}

// wav is ten seconds of a quiet square wave.
func wav(rate int) string {
	n := 10 * rate
	b := []byte("RIFF")
	u32 := func(v int) { b = binary.LittleEndian.AppendUint32(b, uint32(v)) }
	u16 := func(v int) { b = binary.LittleEndian.AppendUint16(b, uint16(v)) }
	u32(36 + 2*n)
	b = append(b, "WAVEfmt "...)
	u32(16)
	u16(1)
	u16(1)
	u32(rate)
	u32(2 * rate)
	u16(2)
	u16(16)
	b = append(b, "data"...)
	u32(2 * n)
	for i := range n {
		u16(1000 * (1 - 2*(i/10%2)))
	}
	return string(b)
}

func control(t *testing.T, port int) *net.TCPConn {
	t.Helper()
	for deadline := time.Now().Add(testDeadline); time.Now().Before(deadline); {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			t.Cleanup(func() { c.Close() })
			return c.(*net.TCPConn)
		}
		time.Sleep(20 * time.Millisecond) // waiting for a process to listen
	}
	t.Fatal("baresip does not listen")
	return nil
}

func command(t *testing.T, c *net.TCPConn, name, params string) {
	t.Helper()
	p := fmt.Sprintf(`{"command":%q,"params":%q,"token":"t"}`, name, params)
	if _, err := fmt.Fprintf(c, "%d:%s,", len(p), p); err != nil {
		t.Fatal(err)
	}
}

// await reads control events until one contains text.
func await(t *testing.T, c *net.TCPConn, text string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(testDeadline))
	s := bufio.NewReader(c)
	for {
		part, err := s.ReadString('}')
		if err != nil {
			t.Fatalf("baresip did not say %q: %v", text, err)
		}
		if strings.Contains(part, text) {
			return
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func waitRegistered(t *testing.T, r *rig, user string) {
	t.Helper()
	for deadline := time.Now().Add(testDeadline); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if p, ok := r.Phone(user); ok && p.Registered() {
			return
		}
	}
	t.Fatal("phone did not register")
}

func TestBaresipRegistersAndCallsBothWays(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			r := newRig(t)
			r.apply(t, Settings{Phones: []PhoneConfig{{User: "1001", Password: "pw1001"}}})
			r.board.does(func(w *watched) { w.Alert(); w.Accept() })
			ctl := baresip(t, r, "1001", "pw1001", transport)
			waitRegistered(t, r, "1001")

			ph, _ := r.Phone("1001")
			w, notify := watch()
			leg, err := ph.Dial(context.Background(), bridge.Invite{Call: "c", Customer: bridge.Customer{Phone: "628123", Name: "Budi \"B\""}}, notify)
			if err != nil {
				t.Fatal(err)
			}
			for ev := range w.events {
				if ev.Kind == bridge.EventEnded {
					t.Fatalf("ended: %s", ev.Cause)
				}
				if ev.Kind == bridge.EventAnswered {
					break
				}
			}
			command(t, ctl, "hold", "")
			w.expect(t, bridge.EventHold)
			command(t, ctl, "resume", "")
			w.expect(t, bridge.EventResume)
			leg.Hangup(normal())
			w.expect(t, bridge.EventEnded)
			await(t, ctl, "CALL_CLOSED")

			command(t, ctl, "dial", "+628999")
			in := r.board.leg(t)
			if in.offer.From != "1001" || in.offer.Dialled != "+628999" || in.offer.Peer != "phone:1001" {
				t.Errorf("offer %+v", in.offer)
			}
			in.expect(t, bridge.EventAccepted)
			await(t, ctl, "CALL_ESTABLISHED")
			command(t, ctl, "hangup", "")
			in.expect(t, bridge.EventEnded)
		})
	}
}
