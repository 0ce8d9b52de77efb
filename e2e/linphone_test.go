//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/simulator"
)

// linphone is linphonec, driven over its standard input.
type linphone struct {
	h   *house
	dir string
	in  io.WriteCloser
}

// startLinphone starts a phone that registers as ext, sends a tone of 1000 Hz and records what it hears.
func startLinphone(h *house, ext string, codecs ...string) *linphone {
	t := h.t
	t.Helper()
	if _, err := exec.LookPath("linphonec"); err != nil {
		t.Skip("linphonec is not installed: make setup-e2e")
	}
	l := &linphone{h: h, dir: filepath.Join(h.dir, "linphone-"+ext)}
	if err := os.MkdirAll(filepath.Join(l.dir, ".local/share/linphone"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeWAV(t, l.file("tone.wav"), media.Tone(1000, 8000, 30*time.Second), 8000)
	rc := fmt.Sprintf(`[sip]
sip_port=%d
sip_tcp_port=0
sip_tls_port=0
default_proxy=0
guess_hostname=1
use_ipv6=0
[rtp]
audio_rtp_port=%d
[proxy_0]
reg_proxy=<sip:%s;transport=udp>
reg_identity="Linphone" <sip:%s@%s>
reg_sendregister=1
[auth_info_0]
username=%s
passwd=%s
realm=deskbridge
`, freePort(t, "127.0.0.1"), freePort(t, "127.0.0.1"), h.sip, ext, h.sip, ext, phonePassword(ext))
	for i, c := range []struct {
		mime string
		rate int
	}{{"opus", 48000}, {"PCMA", 8000}, {"PCMU", 8000}, {"G722", 8000}, {"speex", 16000}, {"speex", 8000}, {"GSM", 8000}} {
		on := 0
		for _, want := range codecs {
			if want == c.mime {
				on = 1
			}
		}
		rc += fmt.Sprintf("[audio_codec_%d]\nmime=%s\nrate=%d\nenabled=%d\n", i, c.mime, c.rate, on)
	}
	if err := os.WriteFile(l.file("rc"), []byte(rc), 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(l.file("log"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "linphonec", "-c", l.file("rc"), "-d", "0")
	cmd.Dir = l.dir // long paths are too much for its command line
	cmd.Env = append(os.Environ(), "HOME="+l.dir)
	cmd.Stdout, cmd.Stderr = log, log
	if l.in, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.do("quit")
		quit := time.AfterFunc(3*time.Second, cancel)
		_ = cmd.Wait()
		quit.Stop()
		cancel()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("linphonec:\n%s", tail(string(text), 60))
		}
	})
	l.says("linphonec> ", 1)
	l.do("soundcard use files")
	l.says("Using wav files", 1)
	l.do("play tone.wav")
	l.do("record rec.wav")
	return l
}

func (l *linphone) file(name string) string { return filepath.Join(l.dir, name) }

// do types a command.
func (l *linphone) do(command string) { _, _ = io.WriteString(l.in, command+"\n") }

// says waits until its output has a text n times.
func (l *linphone) says(text string, n int) {
	l.h.t.Helper()
	l.h.until(fmt.Sprintf("%q from linphonec", text), func() bool {
		out, _ := os.ReadFile(l.file("log"))
		return strings.Count(string(out), text) >= n
	})
}

// heard waits until its recording, which it writes when the call is over, has a second of a tone.
func (l *linphone) heard(freq float64) {
	l.h.t.Helper()
	l.h.until(fmt.Sprintf("%.0f Hz at linphonec", freq), func() bool {
		raw, err := os.ReadFile(l.file("rec.wav"))
		if err != nil || len(raw) < 44 {
			return false
		}
		rate := int(raw[24]) | int(raw[25])<<8 | int(raw[26])<<16
		var pcm []int16
		for i, step := 44, 2*int(raw[22]); i+1 < len(raw) && step > 0; i += step {
			pcm = append(pcm, int16(uint16(raw[i])|uint16(raw[i+1])<<8))
		}
		for from := 0; rate > 0 && from+rate <= len(pcm); from += rate / 4 {
			if hasTone(pcm[from:from+rate], rate, freq) {
				return true
			}
		}
		return false
	})
}

var linphoneCodecs = []string{"opus", "PCMA"}

// TestLinphoneRings: called by a customer; hold, resume and digits from the phone.
func TestLinphoneRings(t *testing.T) {
	for _, codec := range linphoneCodecs {
		t.Run(codec, func(t *testing.T) {
			h := newHouse(t, houseOptions{})
			phone := startLinphone(h, "1001", codec)
			h.waitRegistered("1001")
			call, err := h.customer(erika()).Call(t.Context(), displayNumber, simulator.CallOptions{})
			if err != nil {
				t.Fatal(err)
			}
			h.rang()
			phone.do("answer")
			phone.talks(call)
			call.Hangup()
			phone.heard(440)
			if cdr := h.waitNoCalls(); cdr.Agent != "phone:1001" || cdr.AnsweredAt.IsZero() {
				t.Errorf("record %+v", cdr)
			}
			h.clean(call)
		})
	}
}

// TestLinphoneDials: calls a customer; hold, resume and digits.
func TestLinphoneDials(t *testing.T) {
	for _, codec := range linphoneCodecs {
		t.Run(codec, func(t *testing.T) {
			h := newHouse(t, houseOptions{})
			phone := startLinphone(h, "1001", codec)
			h.waitRegistered("1001")
			cust := h.customer(erika())
			phone.do(fmt.Sprintf("call sip:%s@%s", dialled, h.sip))
			var call *simulator.CustomerCall
			select {
			case call = <-cust.Calls():
			case <-time.After(wait):
				t.Fatal("no call at the customer")
			}
			phone.talks(call)
			phone.do("terminate")
			if cdr := h.waitNoCalls(); cdr.AnsweredAt.IsZero() || cdr.Cause.Reason != bridge.ReasonHangup {
				t.Errorf("record %+v", cdr)
			}
			phone.heard(440)
			h.ended(call)
			h.clean(call)
		})
	}
}

// talks checks a call from both ends: tones, hold and resume, digits.
func (l *linphone) talks(call *simulator.CustomerCall) {
	h := l.h
	h.t.Helper()
	is := func(state string) {
		h.t.Helper()
		h.until("a call that is "+state, func() bool {
			calls := h.app.Exchange().Calls()
			return len(calls) == 1 && calls[0].State == state
		})
	}
	is("talking")
	h.customerHears(call, 1000)
	l.do("pause 1")
	is("held")
	h.customerHears(call, 1000) // its file is its music on hold too, and a holder's own music passes
	l.do("resume 1")
	is("talking")
	l.says("Media streams established", 2) // a digit before that is lost in linphonec
	h.customerHears(call, 1000)
	l.do("7")
	h.until("the digit at the customer", func() bool { return call.Digits() == "7" })
	l.do("#")
	defer func() {
		if h.t.Failed() {
			h.t.Logf("digits at the customer: %q", call.Digits())
		}
	}()
	h.until("both digits at the customer", func() bool { return call.Digits() == "7#" })
}
