package simulator

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"deskbridge/media"
)

// needTool skips the test by name where the peer isn't installed.
func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
}

// freePort finds a port for a peer that cannot be told to choose one.
func freePort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// startBaresip runs a baresip that answers by itself and plays a tone. It ends with the test.
func startBaresip(t *testing.T, hz float64, codec string) (uri string) {
	t.Helper()
	needTool(t, "baresip")
	dir := t.TempDir()
	wav, err := os.Create(filepath.Join(dir, "tone.wav"))
	if err != nil {
		t.Fatal(err)
	}
	if err := media.WriteWAV(wav, media.Tone(hz, 8000, 30*time.Second), 8000); err != nil {
		t.Fatal(err)
	}
	wav.Close()
	port := freePort(t)
	config := fmt.Sprintf(`sip_listen 127.0.0.1:%d
net_interface 127.0.0.1
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
statmode_default off
ringback_disabled yes
`, port, wav.Name())
	account := fmt.Sprintf("\"B\" <sip:bob@127.0.0.1:%d>;regint=0;answermode=auto;audio_codecs=%s\n", port, codec)
	for name, text := range map[string]string{"config": config, "accounts": account, "contacts": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "baresip", "-f", dir, "-t", "60")
	out, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		out.Close()
		if t.Failed() {
			b, _ := os.ReadFile(out.Name())
			t.Logf("baresip said:\n%s", b)
		}
	})
	return fmt.Sprintf("sip:bob@127.0.0.1:%d", port)
}

func TestPhoneTalksToBaresip(t *testing.T) {
	uri := startBaresip(t, 1004, "PCMA")
	p := testPhone(t, PhoneConfig{User: "1001", Source: PhoneSource{Tone: 440}})
	// INVITE is repeated until baresip is up.
	c, err := p.Dial(phoneCtx(t), uri)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WaitAnswer(phoneCtx(t)); err != nil {
		t.Fatal(err)
	}
	hears(t, c, 1004)
	if err := c.Hold(phoneCtx(t)); err != nil {
		t.Errorf("hold: %v", err)
	}
	if err := c.Resume(phoneCtx(t)); err != nil {
		t.Errorf("resume: %v", err)
	}
	before := c.Stats().Received
	eventually(t, "audio after resume", func() bool { return c.Stats().Received > before+10 })
	if err := c.SendDigits("5"); err != nil {
		t.Error(err)
	}
	if st := c.Stats(); st.SSRCs != 1 || st.Jumps != 0 {
		t.Errorf("stats %+v", st)
	}
	if err := c.Hangup(phoneCtx(t)); err != nil {
		t.Error(err)
	}
}

func TestSIPpCallsThePhone(t *testing.T) {
	needTool(t, "sipp")
	for _, transport := range []string{"udp", "tcp"} {
		p := testPhone(t, PhoneConfig{User: "1001", Transport: transport, Source: PhoneSource{Tone: 440}})
		mode := map[string]string{"udp": "u1", "tcp": "t1"}[transport]
		cmd := exec.CommandContext(phoneCtx(t), "sipp", p.Addr().String(), "-sn", "uac", "-s", "1001", "-i", "127.0.0.1",
			"-p", fmt.Sprint(freePort(t)), "-mp", fmt.Sprint(freePort(t)), "-t", mode, "-m", "5", "-r", "5", "-d", "200", "-timeout", "8", "-nostdin")
		cmd.Dir = t.TempDir()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", transport, err, out)
		}
	}
}
