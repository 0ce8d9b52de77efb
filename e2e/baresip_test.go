//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/media"
	"deskbridge/simulator"
)

// baresip is a real phone, driven over its control socket.
type baresip struct {
	h    *house
	dir  string
	ctl  net.Conn
	mu   sync.Mutex
	said []string // events and responses as JSON
}

// baresipOptions say what phone to be.
type baresipOptions struct {
	ext       string
	transport string   // udp (default) or tcp
	codecs    []string // baresip's names: PCMA/8000/1, PCMU/8000/1, G722/16000/1, opus/48000/2
	tone      float64  // what its microphone hears
	auto      bool     // answers by itself
	account   string   // replaces the whole account line
	ptime     int      // ms; 0: 20
}

// startBaresip starts a phone that plays a tone and records what it hears.
func startBaresip(h *house, o baresipOptions) *baresip {
	t := h.t
	t.Helper()
	if _, err := exec.LookPath("baresip"); err != nil {
		t.Skip("baresip is not installed: make setup-e2e")
	}
	if o.transport == "" {
		o.transport = "udp"
	}
	rate, modules := 8000, []string{"g711.so"}
	for _, c := range o.codecs {
		switch {
		case strings.HasPrefix(c, "opus"):
			rate, modules = 48000, append(modules, "opus.so")
		case strings.HasPrefix(c, "G722"):
			rate, modules = 16000, append(modules, "g722.so")
		}
	}
	b := &baresip{h: h, dir: filepath.Join(h.dir, "baresip-"+o.ext)}
	for _, d := range []string{b.dir, filepath.Join(b.dir, "rec")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	wav := filepath.Join(b.dir, "tone.wav")
	writeWAV(t, wav, media.Tone(o.tone, rate, 20*time.Second), rate)
	ctlPort := freeTCPPort(t)
	config := fmt.Sprintf(`sip_listen 127.0.0.1:0
net_interface 127.0.0.1
rtp_ports 21000-24998
audio_source aufile,%s
audio_player aubridge,null1
audio_alert aufile,/dev/null
ausrc_srate %d
auplay_srate %d
ausrc_channels 1
auplay_channels 1
jitter_buffer_delay 2-8
module_path /usr/lib/baresip/modules
module stdio.so
%smodule aufile.so
module aubridge.so
module sndfile.so
snd_path %s
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:%d
statmode_default off
ringback_disabled yes
`, wav, rate, rate, "module "+strings.Join(modules, "\nmodule ")+"\n", filepath.Join(b.dir, "rec"), ctlPort)
	account := o.account
	if account == "" {
		account = fmt.Sprintf("\"Phone %s\" <sip:%s@%s;transport=%s>;auth_pass=%s;regint=60", o.ext, o.ext, h.sip, o.transport, phonePassword(o.ext))
	}
	if len(o.codecs) > 0 {
		account += ";audio_codecs=" + strings.Join(o.codecs, ",")
	}
	if o.ptime != 0 {
		account += fmt.Sprintf(";ptime=%d", o.ptime)
	}
	if o.auto {
		account += ";answermode=auto"
	}
	for name, text := range map[string]string{"config": config, "accounts": account + "\n", "contacts": ""} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b.run(ctlPort)
	return b
}

func (b *baresip) run(ctlPort int) {
	t := b.h.t
	log, err := os.Create(filepath.Join(b.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "baresip", "-f", b.dir)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if b.ctl != nil {
			_ = b.ctl.Close()
		}
		cancel()
		_ = cmd.Wait()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s:\n%s", b.dir, tail(string(text), 60))
		}
	})
	b.h.until("baresip's control socket", func() bool {
		b.ctl, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ctlPort))
		return err == nil
	})
	go b.listen()
}

// listen collects baresip's events (netstring JSON) until the connection closes.
func (b *baresip) listen() {
	r := bufio.NewReader(b.ctl)
	for {
		var n int
		if _, err := fmt.Fscanf(r, "%d:", &n); err != nil {
			return
		}
		text := make([]byte, n+1) // and the comma
		if _, err := io.ReadFull(r, text); err != nil {
			return
		}
		b.mu.Lock()
		b.said = append(b.said, string(text[:n]))
		b.mu.Unlock()
	}
}

// do gives a command.
func (b *baresip) do(command, params string) {
	b.h.t.Helper()
	p, err := json.Marshal(map[string]string{"command": command, "params": params})
	if err == nil {
		_, err = fmt.Fprintf(b.ctl, "%d:%s,", len(p), p)
	}
	if err != nil {
		b.h.t.Fatalf("baresip %s: %v", command, err)
	}
}

// event waits for the n-th event of a type, such as CALL_INCOMING, CALL_ESTABLISHED, CALL_CLOSED.
func (b *baresip) event(kind string, n int) {
	b.h.t.Helper()
	b.h.until(fmt.Sprintf("baresip event %s (%d)", kind, n), func() bool { return b.count(kind) >= n })
}

func (b *baresip) count(kind string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, s := range b.said {
		if strings.Contains(s, `"type":"`+kind+`"`) {
			n++
		}
	}
	return n
}

// heard is what the phone has recorded so far of its latest call.
func (b *baresip) heard() (pcm []int16, rate int) {
	files, _ := filepath.Glob(filepath.Join(b.dir, "rec", "dump-*-dec.wav"))
	if len(files) == 0 {
		return nil, 0
	}
	raw, err := os.ReadFile(files[len(files)-1])
	if err != nil || len(raw) < 44 {
		return nil, 0
	}
	// The header's length is only right when the file is closed: the samples begin at byte 44.
	rate = int(raw[24]) | int(raw[25])<<8 | int(raw[26])<<16
	for i, step := 44, 2*int(raw[22]); i+1 < len(raw); i += step { // the left of as many channels as the codec has
		pcm = append(pcm, int16(uint16(raw[i])|uint16(raw[i+1])<<8))
	}
	return pcm, rate
}

func (b *baresip) hears(freq float64) {
	b.h.t.Helper()
	b.h.until(fmt.Sprintf("%.0f Hz at the phone", freq), func() bool {
		pcm, rate := b.heard()
		return rate > 0 && hasTone(pcm, rate, freq)
	})
}

func writeWAV(t *testing.T, name string, pcm []int16, rate int) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := media.WriteWAV(f, pcm, rate); err != nil {
		t.Fatal(err)
	}
}

// freeTCPPort returns a port that is free now, for UDP as well, and outside our media ranges.
func freeTCPPort(t *testing.T) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		u, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
		if err != nil {
			continue
		}
		_ = u.Close()
		if port/10000 != 2 && port/10000 != 4 {
			return port
		}
	}
}

var codecCases = []struct {
	name   string
	codecs []string
}{
	{"PCMA", []string{"PCMA/8000/1"}},
	{"PCMU", []string{"PCMU/8000/1"}},
	{"G722", []string{"G722/16000/1"}},
	{"Opus", []string{"opus/48000/2"}},
}

// TestBaresipIsRungByACustomer: the customer calls, the phone that registered with us rings, both hear each other's tone.
func TestBaresipIsRungByACustomer(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		for _, c := range codecCases {
			t.Run(transport+"/"+c.name, func(t *testing.T) {
				h := newHouse(t, houseOptions{})
				phone := startBaresip(h, baresipOptions{ext: "1001", transport: transport, codecs: c.codecs, tone: 1000})
				h.waitRegistered("1001")
				cust := h.customer(simulator.CustomerConfig{Behaviour: simulator.Behaviour{Play: simulator.Playback{Tone: 440}}})
				call, err := cust.Call(t.Context(), displayNumber, simulator.CallOptions{})
				if err != nil {
					t.Fatal(err)
				}
				phone.event("CALL_INCOMING", 1)
				phone.do("accept", "")
				h.customerHears(call, 1000)
				phone.hears(440)
				if c.name == "Opus" {
					phone.do("hangup", "")
				} else {
					call.Hangup()
				}
				cdr := h.waitNoCalls()
				if cdr.AnsweredAt.IsZero() || cdr.Agent != "phone:1001" {
					t.Errorf("record %+v", cdr)
				}
				phone.event("CALL_CLOSED", 1)
				h.clean(call)
			})
		}
	}
}

// TestBaresipCallsACustomer: the phone dials, the customer answers, both hear each other.
func TestBaresipCallsACustomer(t *testing.T) {
	for _, c := range codecCases {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, houseOptions{})
			phone := startBaresip(h, baresipOptions{ext: "1001", codecs: c.codecs, tone: 1000})
			h.waitRegistered("1001")
			cust := h.customer(simulator.CustomerConfig{Behaviour: simulator.Behaviour{Play: simulator.Playback{Tone: 440}}})
			phone.do("dial", fmt.Sprintf("sip:+4915112345678@%s", h.sip))
			call := <-cust.Calls()
			phone.event("CALL_ESTABLISHED", 1)
			h.customerHears(call, 1000)
			phone.hears(440)
			phone.do("hangup", "")
			cdr := h.waitNoCalls()
			if cdr.AnsweredAt.IsZero() || cdr.Customer.Phone != "4915112345678" {
				t.Errorf("record %+v", cdr)
			}
			h.clean(call)
		})
	}
}

// TestBaresipReachesTheDefaultListener: by default SIP listens on every address; Contact and SDP must then name the one the
// phone can reach.
func TestBaresipReachesTheDefaultListener(t *testing.T) {
	h := newHouse(t, houseOptions{config: func(c *appliance.Config) {
		_, port, _ := strings.Cut(c.SIP.UDP, ":")
		c.SIP.UDP, c.SIP.TCP = ":"+port, ":"+port
	}})
	server := fmt.Sprintf("127.0.0.1:%d", h.sip.Port())
	phone := startBaresip(h, baresipOptions{ext: "1001", codecs: []string{"PCMA/8000/1"}, tone: 1000,
		account: fmt.Sprintf("\"Phone\" <sip:1001@%s;transport=udp>;auth_pass=%s;regint=60", server, phonePassword("1001"))})
	h.waitRegistered("1001")
	cust := h.customer(simulator.CustomerConfig{Behaviour: simulator.Behaviour{Play: simulator.Playback{Tone: 440}}})
	call, err := cust.Call(t.Context(), displayNumber, simulator.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	phone.event("CALL_INCOMING", 1)
	phone.do("accept", "")
	h.customerHears(call, 1000)
	phone.hears(440)
	phone.do("hangup", "")
	h.waitNoCalls()
	phone.do("dial", "sip:+4915112345678@"+server)
	call = <-cust.Calls()
	h.customerHears(call, 1000)
	call.Hangup()
	if cdr := h.waitNoCalls(); cdr.AnsweredAt.IsZero() {
		t.Errorf("record %+v", cdr)
	}
}
