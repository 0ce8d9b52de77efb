//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"deskbridge/appliance"
	"deskbridge/media"
)

// sipp is a SIPp process that plays the PBX: a scenario of testdata/sipp, or one of its own.
type sipp struct {
	t      *testing.T
	name   string
	addr   netip.AddrPort
	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
}

// sippOptions say what SIPp does.
type sippOptions struct {
	scenario  string         // a file of testdata/sipp, without .xml
	vars      map[string]any // for its template
	builtin   string         // instead: a scenario SIPp brings along
	to        netip.AddrPort // calls there; zero: waits for calls
	service   string         // who is called
	ip        string         // default 127.0.0.1
	port      int            // default: a free one
	transport string         // u1 (default) or t1
	calls     int            // ends after so many; 0: when finish is called
	args      []string
}

// startSIPp starts SIPp and waits until it listens.
func startSIPp(t *testing.T, o sippOptions) *sipp {
	t.Helper()
	if _, err := exec.LookPath("sipp"); err != nil {
		t.Skip("sipp is not installed: make setup-e2e")
	}
	if o.ip == "" {
		o.ip = "127.0.0.1"
	}
	if o.port == 0 {
		o.port = freePort(t, o.ip)
	}
	if o.transport == "" {
		o.transport = "u1"
	}
	s := &sipp{
		t: t, name: o.scenario + o.builtin, dir: t.TempDir(), exited: make(chan struct{}),
		addr: netip.AddrPortFrom(netip.MustParseAddr(o.ip), uint16(o.port)),
	}
	args := []string{"-i", o.ip, "-bind_local", "-p", strconv.Itoa(o.port), "-mi", o.ip, "-mp", strconv.Itoa(freePort(t, o.ip)), "-t", o.transport,
		"-nostdin", "-trace_msg", "-message_file", s.file("messages"), "-trace_err", "-error_file", s.file("errors"),
		"-timeout", "90", "-timeout_error", "-r", "1000"}
	if o.to.IsValid() {
		args = append([]string{o.to.String(), "-aa"}, args...) // our OPTIONS pings are answered beside the scenario
		o.calls = max(o.calls, 1)
	}
	if o.calls > 0 {
		args = append(args, "-m", strconv.Itoa(o.calls))
	}
	if o.service != "" {
		args = append(args, "-s", o.service)
	}
	if o.builtin != "" {
		args = append(args, "-sn", o.builtin)
		if err := os.Symlink("/usr/share/sip-tester", filepath.Join(s.dir, "pcap")); err != nil {
			t.Fatal(err)
		}
	} else {
		args = append(args, "-sf", s.scenario(o.scenario, o.vars))
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cmd = exec.CommandContext(ctx, "sipp", append(args, o.args...)...)
	s.cmd.Dir = s.dir
	s.cmd.Env = append(os.Environ(), "TERM=dumb")
	if err := s.cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		defer close(s.exited)
		_ = s.cmd.Wait()
	}()
	t.Cleanup(func() {
		cancel()
		<-s.exited
		if t.Failed() {
			for _, f := range []string{"errors", "messages"} {
				if text, err := os.ReadFile(s.file(f)); err == nil && len(text) > 0 {
					t.Logf("SIPp %s at %s, %s:\n%s", s.name, s.addr, f, tail(string(text), 150))
				}
			}
		}
	})
	poll(t, "SIPp's port", func() bool { return listens(s.addr, o.transport == "t1") || o.to.IsValid() || s.over() })
	if s.over() && !o.to.IsValid() {
		t.Fatalf("SIPp %s did not start", s.name)
	}
	return s
}

func (s *sipp) file(name string) string { return filepath.Join(s.dir, name) }

// scenario fills in a template of testdata/sipp.
func (s *sipp) scenario(name string, vars map[string]any) string {
	s.t.Helper()
	tpl, err := template.ParseFiles("testdata/sipp/parts.tmpl", "testdata/sipp/"+name+".xml")
	if err != nil {
		s.t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tpl.ExecuteTemplate(&b, name+".xml", vars); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.file(name+".xml"), bytes.TrimSpace(b.Bytes()), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return s.file(name + ".xml")
}

func (s *sipp) over() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// finish lets SIPp end, and fails the test if one of its calls did not go by the scenario.
func (s *sipp) finish() {
	s.t.Helper()
	if !strings.Contains(strings.Join(s.cmd.Args, " "), " -m ") {
		_ = s.cmd.Process.Signal(syscall.SIGUSR1)
	}
	select {
	case <-s.exited:
	case <-time.After(wait):
		s.t.Fatalf("SIPp %s has calls left after %s", s.name, wait)
	}
	// 99 is what a server without calls ends with.
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("SIPp %s: exit code %d: a call did not go by the scenario", s.name, code)
	}
}

// traced is one message SIPp sent or received.
type traced struct {
	at   time.Time
	sent bool
	text string
}

var traceHead = regexp.MustCompile(`(?m)^-{20,} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+)\n\w+ message (sent|received) .*:\n\n?`)

// traffic is every message so far, repetitions included.
func (s *sipp) traffic() []traced {
	raw, err := os.ReadFile(s.file("messages"))
	if err != nil {
		return nil
	}
	text := string(raw)
	var list []traced
	heads := traceHead.FindAllStringSubmatchIndex(text, -1)
	for i, h := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		at, _ := time.ParseInLocation("2006-01-02 15:04:05.999999", text[h[2]:h[3]], time.Local)
		list = append(list, traced{at: at, sent: text[h[4]:h[5]] == "sent", text: text[h[1]:end]})
	}
	return list
}

// got are the messages received whose first line begins so.
func (s *sipp) got(begin string) []traced { return s.with(false, begin) }

// said are the messages sent whose first line begins so.
func (s *sipp) said(begin string) []traced { return s.with(true, begin) }

func (s *sipp) with(sent bool, begin string) []traced {
	var list []traced
	for _, m := range s.traffic() {
		if m.sent == sent && strings.HasPrefix(m.text, begin) {
			list = append(list, m)
		}
	}
	return list
}

// receives waits for the n-th message that begins so.
func (s *sipp) receives(begin string, n int) traced {
	s.t.Helper()
	poll(s.t, fmt.Sprintf("%q (%d) at SIPp %s", begin, n, s.name), func() bool { return len(s.got(begin)) >= n })
	return s.got(begin)[n-1]
}

// header is the value of a header, empty when there is none.
func (m traced) header(name string) string {
	head, _, _ := strings.Cut(strings.ReplaceAll(m.text, "\r", ""), "\n\n")
	for line := range strings.Lines(head) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// poll waits for what gives no event.
func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(wait)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("waited %s for %s", wait, what)
		}
		<-tick.C
	}
}

// listens tells from the kernel's table whether somebody is bound there: a try to connect would be a call to SIPp.
func listens(a netip.AddrPort, stream bool) bool {
	name, state := "/proc/net/udp", " "
	if stream {
		name, state = "/proc/net/tcp", " 0A "
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return false
	}
	ip := a.Addr().As4()
	want := fmt.Sprintf(" %08X:%04X ", binary.LittleEndian.Uint32(ip[:]), a.Port())
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, want) && strings.Contains(line, state) {
			return true
		}
	}
	return false
}

// freePort finds a port free for both transports.
func freePort(t *testing.T, ip string) int {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", ip+":0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip), Port: port})
		_ = l.Close()
		if err == nil {
			_ = u.Close()
			return port
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
	}
	t.Fatal("no free port")
	return 0
}

// pbx is a trunk by address to a PBX that listens there.
func pbx(name string, at netip.AddrPort) appliance.Trunk {
	return appliance.Trunk{
		Name: name, Enabled: true, Host: at.Addr().String(), Port: int(at.Port()), Transport: "udp", Expires: 5 * time.Minute,
		PTime: 20 * time.Millisecond, Extensions: []string{"2xx"}, Line: lineID,
	}
}

// withTrunks are settings with trunks, and with what rings when a customer calls.
func withTrunks(ring []string, trunks ...appliance.Trunk) func(*appliance.Settings) {
	return func(s *appliance.Settings) {
		s.Trunks = trunks
		if ring != nil {
			s.Lines[0].Inbound.Ring = ring
		}
	}
}

// clip is RTP for SIPp to play: A-law tone, with digits after the first half second.
type clip struct {
	tone   float64
	dur    time.Duration
	digits string // RFC 4733, payload type 101
}

// write makes the capture file SIPp wants.
func (c clip) write(t *testing.T) string {
	t.Helper()
	enc, err := media.NewEncoder(media.PCMA, 8000)
	if err != nil {
		t.Fatal(err)
	}
	pcm := media.Tone(c.tone, 8000, c.dur)
	var p capture
	p.begin()
	for i := 0; (i+1)*160 <= len(pcm); i++ {
		payload := make([]byte, 160)
		if _, err := enc.Encode(pcm[i*160:(i+1)*160], payload); err != nil {
			t.Fatal(err)
		}
		pt := byte(8)
		// Each digit is 5 packets of 20 ms, the last three with the end bit, then 100 ms of tone (RFC 4733 §2.5.1).
		if n := i - 25; n >= 0 && n/10 < len(c.digits) && n%10 < 5 {
			pt, payload = 101, []byte{byte(strings.IndexByte("0123456789*#ABCD", c.digits[n/10])), 10, 0, 0}
			binary.BigEndian.PutUint16(payload[2:], uint16(min(n%10+1, 3)*160))
			if n%10 >= 2 {
				payload[1] |= 0x80
			}
			p.rtp(i, uint32(i-n%10)*160, pt, n%10 == 0, payload)
			continue
		}
		p.rtp(i, uint32(i)*160, pt, i == 0, payload)
	}
	name := filepath.Join(t.TempDir(), "clip.pcap")
	if err := os.WriteFile(name, p.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// capture is a pcap file of Ethernet frames with RTP.
type capture struct{ bytes.Buffer }

func (p *capture) begin() {
	_ = binary.Write(p, binary.LittleEndian, []uint32{0xa1b2c3d4, 4<<16 | 2, 0, 0, 65535, 1})
}

func (p *capture) rtp(n int, ts uint32, pt byte, mark bool, payload []byte) {
	if mark {
		pt |= 0x80
	}
	udp := binary.BigEndian.AppendUint16(nil, 4000)
	udp = binary.BigEndian.AppendUint16(udp, 4000)
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+12+len(payload)))
	udp = append(udp, 0, 0, 0x80, pt)
	udp = binary.BigEndian.AppendUint16(udp, uint16(n+1))
	udp = binary.BigEndian.AppendUint32(udp, ts+1600)
	udp = binary.BigEndian.AppendUint32(udp, 0x5199)
	udp = append(udp, payload...)
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1}
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(udp)))
	frame := append([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0}, append(ip, udp...)...)
	us := uint32(n) * 20000
	_ = binary.Write(p, binary.LittleEndian, []uint32{us / 1000000, us % 1000000, uint32(len(frame)), uint32(len(frame))})
	_, _ = p.Write(frame)
}
