//go:build e2e

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// demoRun is `deskbridge demo` as a person starts it, and what it prints.
type demoRun struct {
	t      *testing.T
	cmd    *exec.Cmd
	exited chan error

	mu      sync.Mutex
	printed strings.Builder

	page, password string
	sip            netip.AddrPort
}

// startDemo runs the built program on ports of its own and reads from its output what a person would.
func startDemo(t *testing.T, cache string) *demoRun {
	t.Helper()
	d := &demoRun{t: t, exited: make(chan error, 1)}
	d.cmd = exec.Command("../bin/deskbridge", "demo", "--sip-port", fmt.Sprint(freeTCPPort(t)), "--page", fmt.Sprintf("127.0.0.1:%d", freeTCPPort(t)))
	d.cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache, "TMPDIR="+cache)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	d.cmd.Stdout, d.cmd.Stderr = in, in
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("%v: run make build first", err)
	}
	_ = in.Close()
	go d.read(out)
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("the demo printed:\n%s", d.text())
		}
	})
	d.prints("Calls, as they happen:")
	find := func(pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(d.text())
		if m == nil {
			t.Fatalf("the demo doesn't print %s:\n%s", pattern, d.text())
		}
		return m[1]
	}
	d.page, d.password = find(`\s(http://\S+)\s`), find(`\n\s*password\s+(\S+)`)
	d.sip = netip.MustParseAddrPort(find(`\n\s*server\s+(\S+)`))
	if user := find(`\n\s*user\s+(\S+)`); user != "1002" {
		t.Errorf("user %s", user)
	}
	return d
}

func (d *demoRun) read(out *os.File) {
	defer func() { _ = out.Close(); d.exited <- d.cmd.Wait() }()
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		d.mu.Lock()
		d.printed.WriteString(line)
		d.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (d *demoRun) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.printed.String()
}

func (d *demoRun) prints(text string) {
	d.t.Helper()
	(&house{t: d.t}).until(fmt.Sprintf("the demo to print %q", text), func() bool { return strings.Contains(d.text(), text) })
}

// stop is Ctrl-C.
func (d *demoRun) stop() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil {
		d.t.Fatal(err)
	}
	select {
	case err := <-d.exited:
		if err != nil {
			d.t.Errorf("Ctrl-C: %v", err)
		}
	case <-time.After(wait):
		d.t.Error("Ctrl-C does not end the demo")
	}
}

// newCall forgets what the softphone recorded of the calls before.
func (b *baresip) newCall() (closed int) {
	b.h.t.Helper()
	files, _ := filepath.Glob(filepath.Join(b.dir, "rec", "*.wav"))
	for _, f := range files {
		_ = os.Remove(f)
	}
	return b.count("CALL_CLOSED")
}

// closed waits for the end of the call after `before` others and returns what the softphone says of it.
func (b *baresip) closed(before int) string {
	b.h.t.Helper()
	b.event("CALL_CLOSED", before+1)
	b.mu.Lock()
	defer b.mu.Unlock()
	last := ""
	for _, s := range b.said {
		if strings.Contains(s, `"type":"CALL_CLOSED"`) {
			last = s
		}
	}
	return last
}

// TestDemoWithBrowserAndSoftphone follows the steps that the demo prints, with Chromium as the customer's phone and baresip
// as the agent's.
func TestDemoWithBrowserAndSoftphone(t *testing.T) {
	d := startDemo(t, t.TempDir())
	h := &house{t: t, dir: t.TempDir(), sip: d.sip}
	phone := startBaresip(h, baresipOptions{ext: "1002", codecs: []string{"PCMA/8000/1"}, tone: 1000,
		account: fmt.Sprintf("\"Softphone\" <sip:1002@%s>;auth_pass=%s;regint=60", d.sip, d.password)})
	// The event may come before we listen for events; the log has it either way.
	h.until("the softphone to register", func() bool {
		text, _ := os.ReadFile(filepath.Join(phone.dir, "log"))
		return strings.Contains(string(text), "200 OK")
	})
	customer := openPage(t, startBrowser(t, 440), d.page, "Erika", "+49 151 12345678")
	const dial = "+4915112345678"

	talk := func(t *testing.T) {
		t.Helper()
		customer.connected()
		phone.hears(440)
		customer.hears(1000)
	}
	inbound := func(t *testing.T) {
		t.Helper()
		before := phone.count("CALL_INCOMING")
		customer.click("call")
		phone.event("CALL_INCOMING", before+1)
		phone.do("accept", "")
		talk(t)
	}
	step := func(name string, f func(t *testing.T, closed int)) {
		if t.Failed() {
			return // the steps build on each other
		}
		t.Run(name, func(t *testing.T) {
			customer.t, h.t, d.t = t, t, t
			f(t, phone.newCall())
		})
		customer.t, h.t, d.t = t, t, t
	}

	step("customer calls, presses digits, hangs up", func(t *testing.T, closed int) {
		inbound(t)
		customer.click("keys")
		digits := phone.count("CALL_DTMF_START")
		for _, key := range "159#" {
			customer.eval(fmt.Sprintf("[...$('keypad').children].find((b) => b.textContent === '%c').click()", key))
		}
		phone.event("CALL_DTMF_START", digits+4)
		customer.click("hangup")
		phone.closed(closed)
		if s := customer.over(); !strings.HasPrefix(s, "You hung up after 0:") {
			t.Errorf("the page says %q", s)
		}
		d.prints("Erika -> phone 1002  ended: hung up, talked ")
	})
	step("customer calls, softphone hangs up", func(t *testing.T, closed int) {
		inbound(t)
		phone.do("hangup", "")
		if s := customer.over(); !strings.HasPrefix(s, "The company hung up after 0:") {
			t.Errorf("the page says %q", s)
		}
	})
	step("softphone calls, customer answers and hangs up", func(t *testing.T, closed int) {
		phone.do("dial", fmt.Sprintf("sip:%s@%s", dial, d.sip))
		customer.click("answer")
		talk(t)
		customer.click("hangup")
		phone.closed(closed)
		customer.over()
	})
	step("softphone calls, customer answers, softphone hangs up", func(t *testing.T, closed int) {
		phone.do("dial", fmt.Sprintf("sip:%s@%s", dial, d.sip))
		customer.click("answer")
		talk(t)
		phone.do("hangup", "")
		if s := customer.over(); !strings.HasPrefix(s, "The company hung up after 0:") {
			t.Errorf("the page says %q", s)
		}
	})
	step("softphone calls, customer declines", func(t *testing.T, closed int) {
		phone.do("dial", fmt.Sprintf("sip:%s@%s", dial, d.sip))
		customer.click("decline")
		if end := phone.closed(closed); !strings.Contains(end, "603 ") {
			t.Errorf("the softphone is told %s, want 603", end)
		}
		if s := customer.over(); s != "You declined" {
			t.Errorf("the page says %q", s)
		}
		d.prints("phone 1002 -> Erika  ended: declined")
	})
	step("customer forbids calls, softphone hears why, asks, is rung and calls", func(t *testing.T, closed int) {
		allow := func(kind string) {
			customer.eval(fmt.Sprintf("$('permission').value = '%s'; $('permission').dispatchEvent(new Event('change'))", kind))
			customer.until(fmt.Sprintf("$('permission-hint').textContent === permissionHints.%s", kind))
		}
		allow("no_permission")
		answered, incoming := phone.count("CALL_ESTABLISHED"), phone.count("CALL_INCOMING")
		phone.do("dial", fmt.Sprintf("sip:%s@%s", dial, d.sip))
		phone.event("CALL_ESTABLISHED", answered+1)
		phone.do("sndcode", "1")
		customer.until("!$('request').hidden") // the company would like to call you
		if customer.eval("$('ringing').hidden") != true {
			t.Error("the page rings though the customer has not allowed it")
		}
		phone.do("hangup", "")
		phone.closed(closed)
		d.prints("ended: refused (")
		// Meta tells whole seconds; what was forbidden and allowed in the same one stays forbidden.
		customer.until(fmt.Sprintf("Date.now() >= %d", time.Now().Truncate(time.Second).Add(time.Second).UnixMilli()))
		customer.eval("document.querySelector('#request [data-attitude=permanent]').click()")
		phone.event("CALL_INCOMING", incoming+1)
		phone.newCall()
		phone.do("accept", "")
		phone.event("CALL_ESTABLISHED", answered+2)
		phone.do("sndcode", "1")
		customer.click("answer")
		talk(t)
		customer.click("hangup")
		customer.over()
	})
	step("softphone calls Sari, who echoes", func(t *testing.T, closed int) {
		phone.do("dial", fmt.Sprintf("sip:+6281200001001@%s", d.sip))
		phone.hears(1000)
		phone.do("hangup", "")
		d.prints("phone 1002 -> +6281200001001  ended: hung up, talked ")
	})
	step("nobody answers the softphone, the built-in phone echoes", func(t *testing.T, closed int) {
		rung := phone.count("CALL_INCOMING")
		customer.click("call")
		phone.event("CALL_INCOMING", rung+1)
		customer.connected()
		phone.closed(closed)
		customer.hears(440)
		customer.click("hangup")
		customer.over()
		d.prints("Erika -> phone 1001  ended: hung up, talked ")
	})
	step("Ctrl-C", func(t *testing.T, _ int) {
		d.stop()
		if text := d.text(); !strings.HasSuffix(text, "Stopping.\n") || strings.Contains(text, "level=") {
			t.Errorf("the demo ends with\n%s", tail(text, 5))
		}
		customer.until("$('error-text').textContent.startsWith('The simulator does not answer')")
	})
}

// TestDemoLeavesNothingAndKeepsItsPassword: a softphone that was set up once works with the next demo too.
func TestDemoLeavesNothingAndKeepsItsPassword(t *testing.T) {
	cache := t.TempDir()
	first := startDemo(t, cache)
	first.stop()
	second := startDemo(t, cache)
	if first.password != second.password || len(first.password) < 12 {
		t.Errorf("passwords %q and %q", first.password, second.password)
	}
	again := exec.Command("../bin/deskbridge", "demo", "--page", strings.TrimSuffix(strings.TrimPrefix(second.page, "http://"), "/"))
	text, err := again.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(text), "choose another with --page") {
		t.Errorf("a second demo on the same page: %v %s", err, text)
	}
	second.stop()
	left, err := filepath.Glob(filepath.Join(cache, "deskbridge-demo-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
