//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/simulator"
	"deskbridge/store"
)

// daemon is the built program as a process of its own, so that it can be killed and its disk be filled.
type daemon struct {
	t       *testing.T
	bin     string
	dir     string // config, settings, log
	data    string
	config  string
	sip     string
	webhook string
	admin   string
	metrics string
	meta    *simulator.Meta
	cmd     *exec.Cmd
	exited  chan error
}

// newDaemon prepares configuration and a simulated Meta; start runs the program.
func newDaemon(t *testing.T, data string) *daemon {
	t.Helper()
	bin, err := filepath.Abs("../bin/deskbridge")
	if err == nil {
		_, err = os.Stat(bin)
	}
	if err != nil {
		t.Fatalf("%v: run make build first", err)
	}
	d := &daemon{t: t, bin: bin, dir: t.TempDir(), data: data}
	if d.data == "" {
		d.data = filepath.Join(d.dir, "data")
	}
	d.meta, err = simulator.NewMeta(simulator.MetaConfig{
		Numbers:     []simulator.Number{{PhoneNumberID: numberID, WABA: "900100200300400", DisplayNumber: displayNumber, AppID: "100200300400500", AppSecret: appSecret, Token: accessToken}},
		VerifyToken: verifyToken, Timing: simulator.DefaultTiming().Fast(),
	})
	if err != nil {
		t.Fatal(err)
	}
	d.meta.Start()
	t.Cleanup(func() { _ = d.meta.Close() })
	d.sip = fmt.Sprintf("127.0.0.10:%d", freeTCPPort(t))
	d.webhook = fmt.Sprintf("127.0.0.1:%d", freeTCPPort(t))
	d.admin = fmt.Sprintf("127.0.0.1:%d", freeTCPPort(t))
	d.metrics = fmt.Sprintf("127.0.0.1:%d", freeTCPPort(t))
	d.meta.SetWebhookURL("http://" + d.webhook + "/webhook/meta")
	d.config = d.write("deskbridge.yaml", fmt.Sprintf(`data_dir: %s
drain_limit: 4s
webhook: {listen: %s}
admin: {listen: %s}
metrics: {listen: %s}
sip: {udp: %s, tcp: %s}
graph: {base_url: "%s"}
`, d.data, d.webhook, d.admin, d.metrics, d.sip, d.sip, d.meta.URL()))
	return d
}

func (d *daemon) write(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

// start runs the daemon and waits until it is ready.
func (d *daemon) start() {
	d.t.Helper()
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	d.cmd = exec.Command(d.bin, "serve", "--config", d.config)
	d.cmd.Stderr, d.cmd.Stdout = log, log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan error) { exited <- cmd.Wait(); _ = log.Close() }(d.cmd, d.exited)
	d.t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		if d.t.Failed() {
			text, _ := os.ReadFile(filepath.Join(d.dir, "log"))
			d.t.Logf("daemon's log:\n%s", tail(string(text), 60))
		}
	})
	d.until("the daemon to be ready", func() bool { return d.get("http://"+d.admin+"/readyz") == http.StatusOK })
}

func (d *daemon) get(url string) int {
	c := http.Client{Timeout: time.Second}
	res, err := c.Get(url)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func (d *daemon) until(what string, ok func() bool) {
	d.t.Helper()
	(&house{t: d.t}).until(what, ok)
}

// cli runs another command of the program against the daemon.
func (d *daemon) cli(args ...string) (string, int) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), wait)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.bin, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out.String(), 0
	case errors.As(err, &exit):
		return out.String(), exit.ExitCode()
	}
	d.t.Fatal(err)
	return "", -1
}

// apply gives the daemon one line that rings phone 1001.
func (d *daemon) apply() {
	d.t.Helper()
	doc := d.write("settings.yaml", fmt.Sprintf(`lines:
  - id: %s
    phone_number_id: "%s"
    country: DE
    app_secret: %s
    verify_token: %s
    access_token: %s
    inbound: {ring: ["phone:1001"], menu: false}
phones:
  - {extension: "1001", password: %s, line: %s}
`, lineID, numberID, appSecret, verifyToken, accessToken, phonePassword("1001"), lineID))
	if out, code := d.cli("settings", "apply", "--config", d.config, "-f", doc); code != 0 {
		d.t.Fatalf("settings apply: exit %d: %s", code, out)
	}
}

// phone is a desk phone registered with the daemon.
func (d *daemon) phone() *simulator.Phone {
	d.t.Helper()
	p, err := simulator.NewPhone(simulator.PhoneConfig{
		User: "1001", Password: phonePassword("1001"), Registrar: d.sip, Codecs: []media.Codec{media.PCMA}, Source: simulator.PhoneSource{Tone: 1000},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = p.Close() })
	d.register(p)
	return p
}

func (d *daemon) register(p *simulator.Phone) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), wait)
	defer cancel()
	if err := p.Register(ctx); err != nil {
		d.t.Fatal(err)
	}
}

// talk places a customer call that the phone answers, and waits for audio both ways.
func (d *daemon) talk(p *simulator.Phone, phone string) (*simulator.CustomerCall, *simulator.PhoneCall) {
	d.t.Helper()
	cust, err := d.meta.Customer(simulator.CustomerConfig{Phone: phone, Name: "Erika M.", Permission: simulator.PermissionPermanent, Behaviour: simulator.Behaviour{Play: simulator.Playback{Tone: 440}}})
	if err != nil {
		d.t.Fatal(err)
	}
	call, err := cust.Call(d.t.Context(), displayNumber, simulator.CallOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	var desk *simulator.PhoneCall
	select {
	case desk = <-p.Calls():
	case <-time.After(wait):
		d.t.Fatal("the phone did not ring")
	}
	d.until("1000 Hz at the customer", func() bool {
		pcm, err := call.Heard(16000)
		return err == nil && hasTone(pcm, 16000, 1000)
	})
	d.until("440 Hz at the phone", func() bool { pcm, rate := desk.Heard(); return rate > 0 && hasTone(pcm, rate, 440) })
	return call, desk
}

func (d *daemon) ended(call *simulator.CustomerCall, desk *simulator.PhoneCall) {
	d.t.Helper()
	for what, done := range map[string]<-chan struct{}{"customer": call.Ended(), "phone": desk.Done()} {
		select {
		case <-done:
		case <-time.After(wait):
			d.t.Errorf("the call did not end for the %s", what)
		}
	}
}

// records opens the stopped daemon's store and returns its calls, newest first.
func (d *daemon) records() []bridge.CDR {
	d.t.Helper()
	key, err := store.LoadOrCreateKey(d.data)
	if err != nil {
		d.t.Fatal(err)
	}
	s, err := store.Open(store.Config{Dir: d.data, Key: key})
	if err != nil {
		d.t.Fatal(err)
	}
	defer s.Close()
	page, err := s.Calls(d.t.Context(), store.CallQuery{Limit: 100})
	if err != nil {
		d.t.Fatal(err)
	}
	open, err := s.OpenCalls(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	for _, c := range open {
		d.t.Errorf("call %s is still open in the records: a ghost", c.ID)
	}
	return page.Calls
}

// terminate is SIGTERM and its exit code.
func (d *daemon) terminate() error {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	select {
	case err := <-d.exited:
		return err
	case <-time.After(2 * wait):
		d.t.Fatal("the daemon did not exit after SIGTERM")
	}
	return nil
}

// TestKilledInTheMiddleOfACall: after SIGKILL and a restart the customer's and the phone's calls are ended, the record is
// closed as interrupted, and the next call works.
func TestKilledInTheMiddleOfACall(t *testing.T) {
	d := newDaemon(t, "")
	d.start()
	d.apply()
	phone := d.phone()
	call, desk := d.talk(phone, "4915112345678")
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-d.exited
	d.start()
	d.ended(call, desk)
	if n := len(d.meta.Requests("terminate")); n == 0 {
		t.Error("Meta was not told to terminate the interrupted call")
	}
	d.register(phone)
	call, desk = d.talk(phone, "4915112345679")
	call.Hangup()
	d.ended(call, desk)
	d.until("no call left", func() bool {
		out, _ := d.cli("status", "--config", d.config)
		return strings.Contains(out, "calls: 0")
	})
	if err := d.terminate(); err != nil {
		t.Errorf("exit after SIGTERM: %v", err)
	}
	calls := d.records()
	if len(calls) != 2 {
		t.Fatalf("%d records, want 2", len(calls))
	}
	if got := calls[1].Cause.Reason; got != bridge.ReasonInterrupted {
		t.Errorf("the killed call's cause is %q", got)
	}
	if got := calls[0].Cause.Reason; got != bridge.ReasonHangup {
		t.Errorf("the next call's cause is %q", got)
	}
}

// TestSIGTERMLetsACallFinish: the running call goes on, a new one is refused, and after the drain limit the exit is clean.
func TestSIGTERMLetsACallFinish(t *testing.T) {
	d := newDaemon(t, "")
	d.start()
	d.apply()
	phone := d.phone()
	call, desk := d.talk(phone, "4915112345678")
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.until("not ready any more", func() bool { return d.get("http://"+d.admin+"/readyz") == http.StatusServiceUnavailable })
	late, err := phone.Dial(t.Context(), "sip:+4915112345679@"+d.sip)
	if err == nil {
		<-late.Done()
		if end := late.End(); end.Status != 503 {
			t.Errorf("a call during the drain ended with %+v, want 503", end)
		}
	}
	before, _ := call.Heard(16000)
	d.until("the running call to go on", func() bool {
		pcm, err := call.Heard(16000)
		return err == nil && len(pcm) > len(before)+16000 && hasTone(pcm, 16000, 1000)
	})
	call.Hangup()
	d.ended(call, desk)
	select {
	case err := <-d.exited:
		if err != nil {
			t.Errorf("exit: %v", err)
		}
	case <-time.After(wait):
		t.Fatal("no exit though the last call ended")
	}
	d.records()
}

// TestFullDiskDoesNotEndACall fills the data disk to the last byte during a call: the call goes on and ends normally,
// the daemon lives, says so, refuses webhooks so that Meta repeats them, and has the whole record when there is space.
func TestFullDiskDoesNotEndACall(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=1500m,mode=0700"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	d := newDaemon(t, disk)
	d.start()
	d.apply()
	phone := d.phone()
	call, desk := d.talk(phone, "4915112345678")
	hog := fillDisk(t, disk)
	d.until("the daemon to say that its disk is full", func() bool { return d.get("http://"+d.admin+"/readyz") == http.StatusServiceUnavailable })
	before, _ := call.Heard(16000)
	d.until("the call to go on", func() bool {
		pcm, err := call.Heard(16000)
		return err == nil && len(pcm) > len(before)+16000 && hasTone(pcm, 16000, 1000)
	})
	if err := desk.Hangup(t.Context()); err != nil {
		t.Error(err)
	}
	d.ended(call, desk)
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	d.until("the daemon to be ready again", func() bool { return d.get("http://"+d.admin+"/readyz") == http.StatusOK })
	call, desk = d.talk(phone, "4915112345679")
	call.Hangup()
	d.ended(call, desk)
	if err := d.terminate(); err != nil {
		t.Errorf("exit: %v", err)
	}
	calls := d.records()
	if len(calls) != 2 {
		t.Fatalf("%d records, want 2", len(calls))
	}
	if c := calls[1]; c.Cause.Reason != bridge.ReasonHangup || c.AnsweredAt.IsZero() {
		t.Errorf("the record of the call during which the disk was full: %+v", c)
	}
}

// fillDisk leaves no block free and returns the file that took them.
func fillDisk(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "hog")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		n, err := f.Write(block)
		if err == nil {
			continue
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
		if n == 0 {
			block = block[:len(block)/2]
		}
	}
	return name
}
