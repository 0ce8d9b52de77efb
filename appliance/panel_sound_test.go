package appliance_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"deskbridge/simulator"
)

func TestARecordingIsPlayedInThePanelByRanges(t *testing.T) {
	w := newWorld(t)
	w.addUsers()
	s := w.settings()
	s.Lines[0].Recording.Mode = "always"
	w.must(w.app.ApplySettings(t.Context(), s))
	cust := w.customer(simulator.CustomerConfig{Phone: "4915112345678", Name: "Erika"})
	call, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	desk := <-w.phone.Calls()
	w.hearEachOther(call, desk)
	agent, stranger, boss := w.signIn("agent"), w.signIn("stranger"), w.signIn("admin")
	id := w.app.Exchange().Calls()[0].CDR.ID
	for range 2 { // pause, resume
		if status, body, _ := agent.do(http.MethodPost, "/live/calls/"+id+"/recording", ""); status != 204 {
			t.Errorf("toggle: %d %s", status, body)
		}
	}
	if status, _, _ := stranger.do(http.MethodPost, "/live/calls/"+id+"/recording", ""); status != 404 {
		t.Errorf("a stranger's toggle: %d", status)
	}
	w.must(desk.Hangup(t.Context()))
	w.lastRecord()
	var list struct {
		Recordings []struct {
			ID, State string
			Duration  float64 `json:"duration_seconds"`
			Bytes     int64
			Marks     []struct{ Kind string }
		}
	}
	w.until("the finished recording", func() bool {
		w.must(json.Unmarshal([]byte(agent.get("/calls/"+id+"/recordings")), &list))
		return len(list.Recordings) == 1 && list.Recordings[0].State == "finished"
	})
	rec := list.Recordings[0]
	kinds := marshal(t, rec.Marks)
	if rec.Duration <= 0 || rec.Bytes <= 0 || !strings.Contains(kinds, "paused") || !strings.Contains(kinds, "resumed") {
		t.Errorf("recording %+v", rec)
	}
	path := "/recordings/" + rec.ID
	status, whole, h := agent.do(http.MethodGet, path+"/audio", "")
	if status != 200 || !strings.HasPrefix(whole, "OggS") || !strings.HasPrefix(h.Get("Content-Type"), "audio/ogg") || h.Get("Accept-Ranges") != "bytes" || h.Get("Content-Disposition") != "" {
		t.Fatalf("audio: %d, %d bytes, %v", status, len(whole), h)
	}
	status, part, h := agent.do(http.MethodGet, path+"/audio", "", "Range", "bytes=100-199", "If-Range", h.Get("ETag"))
	if status != 206 || part != whole[100:200] || !strings.HasPrefix(h.Get("Content-Range"), "bytes 100-199/") {
		t.Errorf("a range: %d, %d bytes, %v", status, len(part), h)
	}
	if status, _, _ := agent.do(http.MethodGet, path+"/audio", "", "Range", "bytes=999999999-"); status != 416 {
		t.Errorf("a range behind the end: %d", status)
	}
	if status, wav, h := agent.do(http.MethodGet, path+"/download?format=wav", ""); status != 200 || !strings.HasPrefix(wav, "RIFF") || !strings.HasPrefix(h.Get("Content-Disposition"), `attachment; filename="2`) {
		t.Errorf("download: %d %v", status, h)
	}
	if status, _, _ := agent.do(http.MethodGet, path+"/audio?format=mp3", ""); status != 422 {
		t.Errorf("an unknown format: %d", status)
	}
	var peaks struct {
		Seconds         float64
		Customer, Agent []byte
	}
	w.until("the outline", func() bool {
		status, body, h := agent.do(http.MethodGet, path+"/peaks", "")
		if status == 202 {
			return h.Get("Retry-After") == ""
		}
		w.must(json.Unmarshal([]byte(body), &peaks))
		return status == 200
	})
	if peaks.Seconds <= 0 || len(peaks.Customer) == 0 || len(peaks.Agent) == 0 {
		t.Errorf("peaks %+v", peaks)
	}
	for _, p := range []string{path + "/audio", path + "/download", path + "/peaks", "/calls/" + id + "/recordings", "/recordings/none/audio"} {
		if status, _, _ := stranger.do(http.MethodGet, p, ""); status != 404 {
			t.Errorf("a stranger reads %s: %d", p, status)
		}
	}
	log := boss.get("/audit?limit=200")
	for _, action := range []string{`"recording.played"`, `"recording.downloaded"`, `"recording.toggled"`} {
		if !strings.Contains(log, action) {
			t.Errorf("the audit log lacks %s", action)
		}
	}
	if n := strings.Count(log, `"recording.played"`); n != 3 {
		t.Errorf("%d times played, want 3", n)
	}
	w.must(w.app.Store().DeleteRecording(t.Context(), rec.ID, "retention", w.lastRecord().EndedAt))
	if status, body, _ := agent.do(http.MethodGet, path+"/audio", ""); status != 410 || !strings.Contains(body, `"gone"`) {
		t.Errorf("a deleted one: %d %s", status, body)
	}
}
