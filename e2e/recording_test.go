//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/simulator"
	"deskbridge/store"
)

// applyRecording gives the daemon its line with these recording options.
func (d *daemon) applyRecording(recording string) {
	d.t.Helper()
	doc := d.write("settings.yaml", fmt.Sprintf(`lines:
  - id: %s
    phone_number_id: "%s"
    country: DE
    app_secret: %s
    verify_token: %s
    access_token: %s
    inbound: {ring: ["phone:1001"]}
    recording: {%s}
phones:
  - {extension: "1001", password: %s, line: %s}
`, lineID, numberID, appSecret, verifyToken, accessToken, recording, phonePassword("1001"), lineID))
	if out, code := d.cli("settings", "apply", "--config", d.config, "-f", doc); code != 0 {
		d.t.Fatalf("settings apply: exit %d: %s", code, out)
	}
}

// answered places a customer call and waits until the phone has answered it.
func (d *daemon) answered(p *simulator.Phone, number string) (*simulator.CustomerCall, *simulator.PhoneCall) {
	d.t.Helper()
	cust, err := d.meta.Customer(simulator.CustomerConfig{Phone: number, Permission: simulator.PermissionPermanent, Behaviour: simulator.Behaviour{Play: simulator.Playback{Tone: 440}}})
	if err != nil {
		d.t.Fatal(err)
	}
	call, err := cust.Call(d.t.Context(), displayNumber, simulator.CallOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	select {
	case desk := <-p.Calls():
		return call, desk
	case <-time.After(wait):
		d.t.Fatal("the phone did not ring")
	}
	return nil, nil
}

// recordings is what `recording list` says, a row each, without the head.
func (d *daemon) recordings() [][]string {
	d.t.Helper()
	out, code := d.cli("recording", "list", "--config", d.config)
	if code != 0 {
		d.t.Fatalf("recording list: exit %d: %s", code, out)
	}
	var rows [][]string
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		if f := strings.Fields(line); len(f) > 5 && f[0] != "RECORDING" {
			rows = append(rows, f)
		}
	}
	return rows
}

// finished waits for the first recording to be complete and returns its ID.
func (d *daemon) finished() (id string) {
	d.t.Helper()
	d.until("the finished recording", func() bool {
		for _, r := range d.recordings() {
			if strings.Contains(strings.Join(r, " "), " finished ") {
				id = r[0]
				return true
			}
		}
		return false
	})
	return id
}

// exported exports a recording and decodes it with a program that is not ours.
func (d *daemon) exported(id string) (customer, agent []int16) {
	d.t.Helper()
	file := filepath.Join(d.dir, "call.opus")
	if out, code := d.cli("recording", "export", id, "--config", d.config, "-o", file); code != 0 {
		d.t.Fatalf("recording export: exit %d: %s", code, out)
	}
	for _, tool := range []struct {
		name string
		args []string
	}{
		{"opusdec", []string{"--quiet", "--no-dither", "--rate", "48000", file, filepath.Join(d.dir, "opusdec.wav")}},
		{"ffmpeg", []string{"-v", "error", "-y", "-i", file, "-ar", "48000", filepath.Join(d.dir, "ffmpeg.wav")}},
	} {
		if _, err := exec.LookPath(tool.name); err != nil {
			d.t.Skipf("%s is not installed", tool.name)
		}
		cmd := exec.CommandContext(d.t.Context(), tool.name, tool.args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			d.t.Fatalf("%s: %v: %s", tool.name, err, out)
		}
		b, err := os.ReadFile(filepath.Join(d.dir, tool.name+".wav"))
		if err != nil {
			d.t.Fatal(err)
		}
		data := bytes.Index(b, []byte("data"))
		if data < 0 {
			d.t.Fatalf("%s made no WAV file", tool.name)
		}
		left, right := apart(b[data+8:])
		if customer != nil && math.Abs(float64(len(left)-len(customer))) > 240 { // they cut the last packet differently: 2 ms
			d.t.Errorf("opusdec decodes %d samples, ffmpeg %d", len(customer), len(left))
		}
		customer, agent = left, right
	}
	return customer, agent
}

func apart(b []byte) (left, right []int16) {
	for ; len(b) >= 4; b = b[4:] {
		left = append(left, int16(binary.LittleEndian.Uint16(b)))
		right = append(right, int16(binary.LittleEndian.Uint16(b[2:])))
	}
	return left, right
}

// toneSeconds counts the tenths of a second in which a tone is heard, in seconds.
func toneSeconds(pcm []int16, freq float64) float64 {
	n := 0
	for ; len(pcm) >= 4800; pcm = pcm[4800:] {
		if media.ToneLevel(pcm[:4800], 48000, freq) > 0.5 {
			n++
		}
	}
	return float64(n) / 10
}

// stopped ends the daemon and opens its store.
func (d *daemon) stopped() *store.Store {
	d.t.Helper()
	if err := d.terminate(); err != nil {
		d.t.Errorf("exit: %v", err)
	}
	key, err := store.LoadOrCreateKey(d.data)
	if err != nil {
		d.t.Fatal(err)
	}
	s, err := store.Open(store.Config{Dir: d.data, Key: key})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = s.Close() })
	return s
}

// speak waits while the call goes on for this long, by what the customer hears.
func (d *daemon) speak(call *simulator.CustomerCall, how time.Duration) {
	d.t.Helper()
	before, _ := call.Heard(16000)
	d.until(fmt.Sprintf("%v of talk", how), func() bool {
		pcm, err := call.Heard(16000)
		return err == nil && len(pcm)-len(before) >= int(how.Seconds()*16000)
	})
}

// TestRecordingOfACall: 440 Hz left, 1000 Hz right, as long as the call; it goes on during hold, and a pause leaves nothing of
// what was said in it. The file holds no audio in clear, and every access is in the ledger.
func TestRecordingOfACall(t *testing.T) {
	d := newDaemon(t, "")
	d.start()
	d.applyRecording("mode: always")
	phone := d.phone()
	call, desk := d.talk(phone, "4915112345678")
	d.speak(call, 2*time.Second)

	if err := desk.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.speak(call, time.Second)
	if err := desk.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.speak(call, time.Second)

	if err := desk.SendDigits("*1"); err != nil { // pause
		t.Fatal(err)
	}
	d.speak(call, 3*time.Second)
	if err := desk.SendDigits("*1"); err != nil { // resume
		t.Fatal(err)
	}
	d.speak(call, 2*time.Second)
	call.Hangup()
	d.ended(call, desk)

	id := d.finished()
	customer, agent := d.exported(id)
	if out, code := d.cli("recording", "verify", id, "--config", d.config); code != 0 || !strings.Contains(out, "sound") {
		t.Errorf("verify: exit %d: %s", code, out)
	}
	seconds := float64(len(customer)) / 48000
	heard, said := toneSeconds(customer, 440), toneSeconds(agent, 1000)
	t.Logf("%.3f s recorded, 440 Hz left for %.1f s, 1000 Hz right for %.1f s", seconds, heard, said)
	if wrong := toneSeconds(customer, 1000) + toneSeconds(agent, 440); wrong > 0.2 {
		t.Errorf("%.1f s of the other side's tone", wrong)
	}
	if heard < seconds-3.9 || heard > seconds-2.2 {
		t.Errorf("the customer is heard for %.1f of %.1f s, with a pause of 3 s", heard, seconds)
	}
	if said < seconds-5.5 || said > seconds-2.5 {
		t.Errorf("the agent is heard for %.1f of %.1f s, with a pause of 3 s and a hold of 1 s", said, seconds)
	}

	s := d.stopped()
	page, err := s.Calls(t.Context(), store.CallQuery{Limit: 1})
	if err != nil || len(page.Calls) != 1 {
		t.Fatalf("calls: %v, %v", page.Calls, err)
	}
	cdr := page.Calls[0]
	if cdr.Recording != id {
		t.Errorf("the call's record names the recording %q, not %q", cdr.Recording, id)
	}
	talk := cdr.EndedAt.Sub(cdr.AnsweredAt).Seconds()
	t.Logf("the record says %.3f s", talk)
	if math.Abs(talk-seconds) > 0.02 {
		t.Errorf("recorded %.3f s of a call of %.3f s", seconds, talk)
	}
	d.sealed()
}

// sealed fails the test if a recording's file has anything of a call in clear.
func (d *daemon) sealed() {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.data, "recordings", "*", "*", "*", "*.dbr"))
	if err != nil || len(files) == 0 {
		d.t.Fatalf("no sealed files: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			d.t.Fatal(err)
		}
		for _, clear := range []string{"4915112345678", lineID + "\"", "phone:1001", "OpusHead", "OggS"} {
			if bytes.Contains(b, []byte(clear)) {
				d.t.Errorf("%s has %q in clear", filepath.Base(f), clear)
			}
		}
	}
}

// TestRecordingSurvivesAKill: after kill -9 in a call the file opens, at most a second is missing, and the ledger knows how
// long it is.
func TestRecordingSurvivesAKill(t *testing.T) {
	d := newDaemon(t, "")
	d.start()
	d.applyRecording("mode: always")
	phone := d.phone()
	call, desk := d.talk(phone, "4915112345678")
	d.speak(call, 4*time.Second)
	killed := time.Now()
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-d.exited
	d.start()
	d.ended(call, desk)
	id := d.finished()
	customer, agent := d.exported(id)
	if toneSeconds(customer, 440) < 3 || toneSeconds(agent, 1000) < 3 {
		t.Errorf("only %.1f and %.1f s are heard", toneSeconds(customer, 440), toneSeconds(agent, 1000))
	}
	if out, code := d.cli("recording", "verify", id, "--config", d.config); code != 0 || !strings.Contains(out, "incomplete") {
		t.Errorf("verify: exit %d: %s", code, out)
	}
	s := d.stopped()
	r, err := s.Recording(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	missing := killed.Sub(r.StartedAt.Add(r.Duration))
	t.Logf("%v recorded, %v missing", r.Duration, missing)
	if missing > time.Second {
		t.Errorf("%v are missing before the kill", missing)
	}
	if open, err := s.OpenRecordings(t.Context(), store.Span{}); err != nil || len(open.Items) > 0 {
		t.Errorf("still open: %v, %v", open.Items, err)
	}
}

// TestRecordingAsksFirst: the announcement is heard before anything is recorded, and the customer's key leaves no recording.
func TestRecordingAsksFirst(t *testing.T) {
	d := newDaemon(t, "")
	d.start()
	d.applyRecording(`mode: always, consent: announcement, refuse_key: "9"`)
	phone := d.phone()

	call, desk := d.answered(phone, "4915112345678")
	d.until("the announcement at the customer", func() bool {
		pcm, err := call.Heard(16000)
		return err == nil && len(pcm) > 16000 && media.Level(pcm) > -40
	})
	if got := d.recordings(); len(got) != 0 {
		t.Errorf("recorded while the announcement plays: %v", got)
	}
	d.customerTone(call, 1000)
	pcm, _ := call.Heard(16000)
	announced := quietOf(pcm, 1000)
	d.speak(call, time.Second)
	call.Hangup()
	d.ended(call, desk)
	id := d.finished()
	_, agent := d.exported(id)
	t.Logf("%.1f s of announcement at the customer, %.1f s recorded", announced, float64(len(agent))/48000)
	if announced < 2 {
		t.Errorf("the customer heard %.1f s before the agent: no announcement", announced)
	}
	if lead := quietOf(downTo16(agent), 1000); lead > 0.4 {
		t.Errorf("the recording has %.1f s of something else before the agent's tone: the announcement is in it", lead)
	}

	call, desk = d.answered(phone, "4915112345679")
	d.until("the announcement at the customer", func() bool {
		pcm, err := call.Heard(16000)
		return err == nil && len(pcm) > 16000 && media.Level(pcm) > -40
	})
	if err := call.SendDigits(t.Context(), "9"); err != nil {
		t.Fatal(err)
	}
	d.customerTone(call, 1000)
	d.speak(call, time.Second)
	call.Hangup()
	d.ended(call, desk)
	s := d.stopped()
	page, err := s.Calls(t.Context(), store.CallQuery{Limit: 1})
	if err != nil || len(page.Calls) != 1 || page.Calls[0].Recording != "" || page.Calls[0].Cause.Reason != bridge.ReasonHangup {
		t.Errorf("the refused call's record: %+v, %v", page.Calls, err)
	}
	files, err := filepath.Glob(filepath.Join(d.data, "recordings", "*", "*", "*", "*.dbr"))
	if err != nil || len(files) != 1 {
		t.Errorf("files after a refusal: %v, %v", files, err)
	}
}

func (d *daemon) customerTone(call *simulator.CustomerCall, freq float64) {
	d.t.Helper()
	d.until(fmt.Sprintf("%.0f Hz at the customer", freq), func() bool {
		pcm, err := call.Heard(16000)
		return err == nil && hasTone(pcm, 16000, freq)
	})
}

// quietOf is how many seconds come before a tone is heard.
func quietOf(pcm []int16, freq float64) float64 {
	at, ok := media.ToneOnset(pcm, 16000, freq)
	if !ok {
		return float64(len(pcm)) / 16000
	}
	return float64(at) / 16000
}

func downTo16(pcm []int16) []int16 {
	out := make([]int16, len(pcm)/3)
	for i := range out {
		out[i] = pcm[3*i]
	}
	return out
}
