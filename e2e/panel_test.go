//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"deskbridge/media"
	"deskbridge/simulator"
)

// panelWalk bounds the whole walk; its pictures and audits are most of it.
const panelWalk = 10 * time.Minute

// hostileName is a WhatsApp profile name that would be an element, a formula and a trick with the direction of writing.
const (
	hostileName = "=cmd\u202e<img src=x onerror=alert(1)>\u200b"
	shownName   = "=cmd<img src=x onerror=alert(1)>"
)

// panelTest drives the panel of the built program: the browser's steps are in admin/ui/e2e/walk.mjs, which asks us for what only
// telephones and customers can do.
type panelTest struct {
	*daemon
	phones map[string]*simulator.Phone
	call   *simulator.CustomerCall
	desk   *simulator.PhoneCall
}

// TestPanelInABrowser: first run, the admin, settings, a call seen live and found again, export, users, second factor, an agent who sees
// own calls only; no serious finding of axe, nothing the content security policy had to refuse. Pictures are in e2e/out/panel.
func TestPanelInABrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed (make setup-e2e)")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	if _, err := os.Stat("../admin/ui/node_modules/playwright-core"); err != nil {
		t.Skip("playwright-core is not installed (make ui)")
	}
	out, err := filepath.Abs("out/panel")
	if err == nil {
		err = os.RemoveAll(out)
	}
	if err == nil {
		err = os.MkdirAll(out, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &panelTest{daemon: newDaemon(t, ""), phones: map[string]*simulator.Phone{}}
	p.start()
	p.walk(exec.Command(node, "e2e/walk.mjs", "http://"+p.admin, out), chromium)
	pictures, _ := filepath.Glob(filepath.Join(out, "*.png"))
	t.Logf("%d pictures in %s", len(pictures), out)
	if !t.Failed() && len(pictures) < 80 {
		t.Errorf("only %d pictures", len(pictures))
	}
}

// walk runs the browser's part and answers what it asks.
func (p *panelTest) walk(cmd *exec.Cmd, chromium string) {
	p.t.Helper()
	cmd.Dir = "../admin/ui"
	cmd.Env = append(os.Environ(), "CHROMIUM="+chromium)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	outPipe, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	late := time.AfterFunc(panelWalk, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	p.t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(outPipe)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		kind, text, _ := strings.Cut(lines.Text(), " ")
		switch kind {
		case "say":
			p.t.Log(text)
		case "fault":
			p.t.Error(text)
		case "ask":
			answer, err := json.Marshal(p.answer(text))
			if err == nil {
				_, err = in.Write(append(answer, '\n'))
			}
			if err != nil {
				p.t.Fatal(err)
			}
		default:
			p.t.Log(lines.Text())
		}
	}
	if err := cmd.Wait(); err != nil && !p.t.Failed() {
		p.t.Errorf("the walk ended early: %v", err)
	}
}

func (p *panelTest) answer(what string) any {
	p.t.Helper()
	switch what {
	case "code":
		text, err := os.ReadFile(filepath.Join(p.dir, "log"))
		m := regexp.MustCompile(`code=([A-Z2-7-]{19})`).FindSubmatch(text)
		if err != nil || m == nil {
			p.t.Fatalf("no one-time code in the log: %v", err)
		}
		return string(m[1])
	case "settings":
		return panelSettings()
	case "secret":
		return fmt.Sprintf("%q", appSecret)
	case "phones":
		for _, ext := range []string{"1001", "1002"} {
			p.phones[ext] = p.panelPhone(ext)
		}
	case "call":
		return p.ring()
	case "answered":
		if err := p.desk.Accept(); err != nil {
			p.t.Fatal(err)
		}
	case "ended":
		p.ended(p.call, p.desk)
	case "dial":
		p.dial()
	default:
		p.t.Fatalf("the walk asks for %q", what)
	}
	return "done"
}

func panelSettings() string {
	return fmt.Sprintf(`lines:
  - id: %s
    name: Sales
    phone_number_id: "%s"
    country: DE
    app_secret: %s
    verify_token: %s
    access_token: %s
    inbound: {ring: ["phone:1001"], menu: false}
phones:
  - {extension: "1001", password: %s, line: %s}
  - {extension: "1002", password: %s, line: %s, refusal: reject}
`, lineID, numberID, appSecret, verifyToken, accessToken, phonePassword("1001"), lineID, phonePassword("1002"), lineID)
}

// panelPhone is a desk phone that rings until it is told to answer.
func (p *panelTest) panelPhone(ext string) *simulator.Phone {
	p.t.Helper()
	phone, err := simulator.NewPhone(simulator.PhoneConfig{
		User: ext, Password: phonePassword(ext), Registrar: p.sip, Codecs: []media.Codec{media.PCMA}, Source: simulator.PhoneSource{Tone: 1000},
		Answer: simulator.PhoneAnswer{Manual: true},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = phone.Close() })
	p.register(phone)
	return phone
}

func (p *panelTest) customer(phone, name string, permission simulator.PermissionKind) *simulator.Customer {
	p.t.Helper()
	c, err := p.meta.Customer(simulator.CustomerConfig{Phone: phone, Name: name, Permission: permission, Behaviour: simulator.Behaviour{Play: simulator.Playback{Tone: 440}}})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// calls lets a customer call and returns when phone 1001 rings.
func (p *panelTest) calls(c *simulator.Customer) {
	p.t.Helper()
	var err error
	if p.call, err = c.Call(p.t.Context(), displayNumber, simulator.CallOptions{}); err != nil {
		p.t.Fatal(err)
	}
	select {
	case p.desk = <-p.phones["1001"].Calls():
	case <-time.After(wait):
		p.t.Fatal("the phone did not ring")
	}
}

// ring lets the hostile customer call; at is when, in Unix milliseconds.
func (p *panelTest) ring() any {
	at := time.Now()
	p.calls(p.customer("4915112345678", hostileName, simulator.PermissionPermanent))
	return map[string]any{"shown": shownName, "at": at.UnixMilli()}
}

// dial makes the calls that are not the agent's: phone 1002 talks to Sari, is refused one to Dewi; and a call that phone 1001 declines.
func (p *panelTest) dial() {
	p.t.Helper()
	p.customer("6281200001111", "Sari Wulandari", simulator.PermissionPermanent)
	p.customer("6281200002222", "Dewi", simulator.PermissionNone)
	for number, answered := range map[string]bool{"+6281200001111": true, "+6281200002222": false} {
		call, err := p.phones["1002"].Dial(p.t.Context(), number)
		if err != nil {
			p.t.Fatal(err)
		}
		if answered {
			p.until("440 Hz at the phone", func() bool { pcm, rate := call.Heard(); return rate > 0 && hasTone(pcm, rate, 440) })
			if err := call.Hangup(p.t.Context()); err != nil {
				p.t.Fatal(err)
			}
		}
		select {
		case <-call.Done():
		case <-time.After(wait):
			p.t.Fatalf("the call to %s does not end", number)
		}
	}
	p.calls(p.customer("4915155555555", "", simulator.PermissionPermanent))
	if err := p.desk.Decline(603); err != nil {
		p.t.Fatal(err)
	}
	p.ended(p.call, p.desk)
}
