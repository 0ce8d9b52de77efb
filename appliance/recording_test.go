package appliance_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/media"
	"deskbridge/recorder"
	"deskbridge/simulator"
	"deskbridge/store"
)

var ayu = appliance.Accessor{Who: "ayu", From: "192.0.2.7"}

// recordedCall makes a world with one finished recording.
func recordedCall(t *testing.T, change func(*appliance.Settings)) (*world, store.Recording) {
	t.Helper()
	w := newWorld(t)
	s := w.settings()
	s.Lines[0].Recording = appliance.LineRecording{Mode: "always"}
	if change != nil {
		change(s)
	}
	w.must(w.app.ApplySettings(t.Context(), s))
	return w, w.record(w.customer(simulator.CustomerConfig{Phone: "4915112345678", Permission: simulator.PermissionPermanent}))
}

// record is one call and its recording.
func (w *world) record(cust *simulator.Customer) (r store.Recording) {
	w.t.Helper()
	call, err := cust.Call(w.t.Context(), number, simulator.CallOptions{})
	w.must(err)
	var desk *simulator.PhoneCall
	select {
	case desk = <-w.phone.Calls():
	case <-time.After(waiting):
		w.t.Fatal("the phone did not ring")
	}
	w.hearEachOther(call, desk)
	w.must(desk.Hangup(w.t.Context()))
	cdr := w.lastRecord()
	w.until("the finished recording", func() bool {
		r, err = w.app.Recordings().Get(w.t.Context(), cdr.Recording)
		return err == nil && r.State == store.RecordingFinished
	})
	return r
}

// accesses are the audit facts of a recording, as "kind by from".
func (w *world) accesses(id string) (list []string) {
	w.t.Helper()
	facts, err := w.app.Store().Facts(w.t.Context(), store.FactQuery{Subject: "recording:" + id})
	w.must(err)
	for _, f := range facts {
		switch store.RecordingAccess(f.Kind) {
		case store.RecordingPlayed, store.RecordingDownloaded, store.RecordingLinked, store.RecordingVerified:
			list = append(list, f.Kind+" "+string(f.Data))
		}
	}
	return list
}

func TestARecordingIsHeardAndTheLedgerKnowsByWhom(t *testing.T) {
	w, r := recordedCall(t, nil)
	rec := w.app.Recordings()
	for name, f := range appliance.RecordingFormats {
		e, err := rec.OpenExport(t.Context(), r.ID, f, ayu)
		w.must(err)
		b, err := io.ReadAll(e)
		w.must(err)
		if int64(len(b)) != e.Size || e.ContentType != f.ContentType() || !strings.HasSuffix(e.Name, f.Extension()) || strings.Contains(e.Name, "49151") {
			t.Errorf("%s: %d of %d bytes, %s, %s", name, len(b), e.Size, e.ContentType, e.Name)
		}
		if name == "wav" {
			checkSides(t, b)
		}
		w.must(e.Close())
	}
	rep, err := rec.Verify(t.Context(), r.ID, ayu, nil)
	if err != nil || rep.Verdict != recorder.Sound || !rep.HashMatches {
		t.Errorf("verify: %+v, %v", rep, err)
	}
	got := w.accesses(r.ID)
	if want := len(appliance.RecordingFormats) + 1; len(got) != want || !strings.Contains(got[0], `"by":"ayu"`) || !strings.Contains(got[0], `"from":"192.0.2.7"`) {
		t.Errorf("%d audit entries, want %d: %q", len(got), want, got)
	}
	if _, err := rec.OpenExport(t.Context(), r.ID, recorder.OggStereo, appliance.Accessor{}); err == nil {
		t.Error("a recording is given to nobody in particular")
	}
}

// checkSides wants 440 Hz left and 1000 Hz right at the end of a 16 kHz stereo WAV file.
func checkSides(t *testing.T, b []byte) {
	t.Helper()
	var sides [2][]int16
	for b = b[44:]; len(b) >= 4; b = b[4:] {
		sides[0] = append(sides[0], int16(binary.LittleEndian.Uint16(b)))
		sides[1] = append(sides[1], int16(binary.LittleEndian.Uint16(b[2:])))
	}
	for i, freq := range []float64{440, 1000} {
		pcm := sides[i]
		if at := len(pcm) / 2; at < 1600 || media.ToneLevel(pcm[at:at+1600], 16000, freq) < 0.5 {
			t.Errorf("side %d of %d samples has no %v Hz", i, len(pcm), freq)
		}
	}
}

func TestAnOutlineIsMadeOnce(t *testing.T) {
	w, r := recordedCall(t, nil)
	for range 2 {
		p, err := w.app.Recordings().Peaks(t.Context(), r.ID)
		if err != nil || len(p.Customer) == 0 || bytes.Count(p.Customer, []byte{0}) == len(p.Customer) {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if got := w.accesses(r.ID); len(got) != 0 {
		t.Errorf("an outline is no listening: %q", got)
	}
}

func TestALinkWorksUntilItExpiresAndForNothingElse(t *testing.T) {
	w, r := recordedCall(t, nil)
	rec := w.app.Recordings()
	link, err := rec.Link(t.Context(), r.ID, recorder.OggStereo, time.Hour, ayu)
	w.must(err)
	status, body := w.get(w.app.AdminAddr(), link)
	if status != http.StatusOK || !strings.HasPrefix(body, "OggS") {
		t.Fatalf("%d, %.20q", status, body)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.app.AdminAddr()+link, nil)
	w.must(err)
	req.Header.Set("Range", "bytes=100-199")
	res, err := http.DefaultClient.Do(req)
	w.must(err)
	part, err := io.ReadAll(res.Body)
	w.must(errors.Join(err, res.Body.Close()))
	if res.StatusCode != http.StatusPartialContent || string(part) != body[100:200] {
		t.Errorf("range: %d, %d bytes", res.StatusCode, len(part))
	}
	for name, bad := range map[string]string{
		"changed":   link[:len(link)-1] + string('A'+(link[len(link)-1]-'A'+1)%26),
		"cut":       link[:len(link)-8],
		"empty":     appliance.LinkPath,
		"a bit off": strings.Replace(link, "AAAA", "AAAB", 1),
		"long":      appliance.LinkPath + strings.Repeat("A", 4000),
	} {
		if bad == link {
			t.Fatalf("%s: the same link", name)
		}
		if status, _ := w.get(w.app.AdminAddr(), bad); status != http.StatusNotFound {
			t.Errorf("%s link: %d", name, status)
		}
	}
	short, err := rec.Link(t.Context(), r.ID, recorder.OggStereo, time.Nanosecond, ayu)
	w.must(err)
	if status, _ := w.get(w.app.AdminAddr(), short); status != http.StatusNotFound {
		t.Errorf("an expired link: %d", status)
	}
	if _, err := rec.Link(t.Context(), r.ID, recorder.OggStereo, 8*24*time.Hour, ayu); err == nil {
		t.Error("a link for 8 days")
	}
	got := w.accesses(r.ID)
	if len(got) != 4 || !strings.Contains(got[0], "linked") || !strings.Contains(got[2], "link, 127.0.0.1") { // 2 made, 2 used
		t.Errorf("audit: %q", got)
	}
}

func TestErasureTakesRecordingsButNotTheHeld(t *testing.T) {
	w := newWorld(t)
	s := w.settings()
	s.Lines[0].Recording = appliance.LineRecording{Mode: "always"}
	w.must(w.app.ApplySettings(t.Context(), s))
	erika := w.customer(simulator.CustomerConfig{Phone: "4915112345678", Permission: simulator.PermissionPermanent})
	otto := w.customer(simulator.CustomerConfig{Phone: "4915112345679", Permission: simulator.PermissionPermanent})
	first, second, other := w.record(erika), w.record(erika), w.record(otto)
	rec := w.app.Recordings()
	w.must(rec.Hold(t.Context(), first.ID, "case 7", ayu))
	cust, err := rec.FindCustomer(t.Context(), "4915112345678")
	w.must(err)
	done, err := rec.EraseCustomer(t.Context(), cust.ID, ayu, nil)
	if err != nil || done != (appliance.Erasure{Erased: 1, Kept: 1}) {
		t.Errorf("%+v, %v", done, err)
	}
	for id, there := range map[string]bool{first.ID: true, second.ID: false, other.ID: true} {
		e, err := rec.OpenExport(t.Context(), id, recorder.OggStereo, ayu)
		if there != (err == nil) || err != nil && !errors.Is(err, appliance.ErrNoFile) {
			t.Errorf("recording %s: %v", id, err)
		}
		if err == nil {
			w.must(e.Close())
		}
	}
	if _, err := os.Stat(filepath.Join(w.cfg.RecordingsDir(), second.Path)); !os.IsNotExist(err) {
		t.Errorf("the erased file: %v", err)
	}
	w.must(rec.Release(t.Context(), first.ID, ayu))
	if done, err = rec.EraseRecordings(t.Context(), cust.ID, ayu, nil); err != nil || done.Erased != 1 {
		t.Errorf("after the release: %+v, %v", done, err)
	}
}

func TestTheCommandLineHasItsWay(t *testing.T) {
	w, r := recordedCall(t, nil)
	c := appliance.NewControlClient(w.cfg.DataDir)
	ctx := t.Context()
	for name, q := range map[string]appliance.RecordingQuery{
		"all": {}, "line": {Line: "main"}, "agent": {Agent: "phone:1001"}, "customer": {Customer: "4915112345678"}, "call": {Call: r.Call},
		"since": {Since: time.Now().Add(-time.Hour), Before: time.Now().Add(time.Hour)},
	} {
		if list, err := c.Recordings(ctx, q); err != nil || len(list.Recordings) != 1 || list.Recordings[0].ID != r.ID {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
	}
	for name, q := range map[string]appliance.RecordingQuery{
		"line": {Line: "x"}, "agent": {Agent: "phone:1002"}, "held": {Held: true}, "before": {Before: time.Now().Add(-time.Hour)},
	} {
		if list, err := c.Recordings(ctx, q); err != nil || len(list.Recordings) != 0 {
			t.Errorf("another %s: %+v, %v", name, list, err)
		}
	}
	if _, err := c.Recordings(ctx, appliance.RecordingQuery{Customer: "nobody"}); err == nil {
		t.Error("an unknown customer has recordings")
	}
	body, size, name, err := c.ExportRecording(ctx, r.ID, "ogg")
	w.must(err)
	b, err := io.ReadAll(body)
	w.must(errors.Join(err, body.Close()))
	if int64(len(b)) != size || !strings.HasSuffix(name, r.Call+".opus") {
		t.Errorf("%d of %d bytes, %q", len(b), size, name)
	}
	if _, _, _, err := c.ExportRecording(ctx, "nothere", "ogg"); err == nil {
		t.Error("a recording that is not there is exported")
	}
	if _, _, _, err := c.ExportRecording(ctx, r.ID, "mp3"); err == nil || !strings.Contains(err.Error(), "mp3") {
		t.Errorf("mp3: %v", err)
	}
	rep, err := c.VerifyRecording(ctx, r.ID, func(int64, int64) {})
	if err != nil || rep.Verdict != "sound" || !rep.HashOK {
		t.Errorf("%+v, %v", rep, err)
	}
	w.must(c.HoldRecording(ctx, r.ID, "case 7"))
	if done, err := c.EraseRecordings(ctx, "+4915112345678", false, nil); err != nil || done.Kept != 1 {
		t.Errorf("erase of a held one: %+v, %v", done, err)
	}
	w.must(c.ReleaseRecording(ctx, r.ID))
	if link, err := c.LinkRecording(ctx, r.ID, "wav", time.Minute); err != nil || !strings.HasPrefix(link, appliance.LinkPath) {
		t.Errorf("link %q, %v", link, err)
	}
	w.must(c.ConfirmClock(ctx))
	if key, err := c.RotateRecordingKey(ctx); err != nil || len(key) != 16 {
		t.Errorf("key %q, %v", key, err)
	}
	_ = w.record(w.customer(simulator.CustomerConfig{Phone: "4915112345679", Permission: simulator.PermissionPermanent})) // under the new key
	if who := w.accesses(r.ID); !strings.Contains(who[0], "command line") || strings.Contains(who[0], `"by":"unknown"`) {
		t.Errorf("audit: %q", who)
	}
}

func TestABitThatFlippedIsFound(t *testing.T) {
	w, r := recordedCall(t, nil)
	path := filepath.Join(w.cfg.RecordingsDir(), r.Path)
	b, err := os.ReadFile(path)
	w.must(err)
	b[len(b)/2] ^= 4
	w.must(os.WriteFile(path, b, 0o600))
	rep, err := appliance.NewControlClient(w.cfg.DataDir).VerifyRecording(t.Context(), r.ID, nil)
	if err != nil || rep.Verdict != "damaged" || rep.HashOK || rep.First == "" {
		t.Errorf("%+v, %v", rep, err)
	}
}

// TestAnotherDiskIsNotUsed: the marker gone, a restart records nothing and the line that must record takes no call, until the
// folder is claimed.
func TestAnotherDiskIsNotUsed(t *testing.T) {
	w, _ := recordedCall(t, func(s *appliance.Settings) { s.Lines[0].Recording.Required = true })
	w.must(os.Remove(filepath.Join(w.cfg.RecordingsDir(), recorder.MarkerFile)))
	w.until("the alarm", func() bool { return w.app.Recordings().Disk().State == recorder.Missing })
	w.stop()
	w.start()
	if s := w.app.Recordings().Disk().State; s != recorder.Missing {
		t.Fatalf("the disk is %s after the restart", s)
	}
	cust := w.customer(simulator.CustomerConfig{Phone: "4915112345670", Permission: simulator.PermissionPermanent})
	call, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	<-call.Ended()
	if cdr := w.lastRecord(); cdr.Cause.Rule != "line.recording" || !cdr.AnsweredAt.IsZero() {
		t.Errorf("the call: %+v", cdr)
	}
	w.stop()
	if _, err := appliance.ClaimRecordings(w.cfg.DataDir, w.cfg.RecordingsDir()); err != nil {
		t.Fatal(err)
	}
	w.start()
	if s := w.app.Recordings().Disk().State; s != recorder.Fine {
		t.Errorf("the disk is %s after the claim", s)
	}
}

// storage is an S3-compatible bucket called calls, as simple as can be.
type storage struct {
	mu      sync.Mutex
	objects map[string][]byte
}

func (s *storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.TrimPrefix(r.URL.Path, "/calls/")
	switch o, there := s.objects[name]; {
	case r.Method == http.MethodPut:
		s.objects[name] = body
		w.Header().Set("ETag", `"x"`)
	case r.Method == http.MethodDelete:
		delete(s.objects, name)
		w.WriteHeader(http.StatusNoContent)
	case !there:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Length", strconv.Itoa(len(o)))
		_, _ = w.Write(o)
	}
}

func (s *storage) all() (list [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.objects {
		list = append(list, o)
	}
	return list
}

func TestTheCopyIsTheSealedFileAndGoesWithAnErasure(t *testing.T) {
	bucket := &storage{objects: map[string][]byte{}}
	server := httptest.NewServer(bucket)
	defer server.Close()
	w, r := recordedCall(t, func(s *appliance.Settings) {
		s.Recording.Archive = appliance.ArchiveSettings{Endpoint: server.URL, Bucket: "calls", Prefix: "box/", AccessKey: "AK", SecretKey: appliance.NewSecret("sk")}
	})
	rec := w.app.Recordings()
	w.until("the copy", func() bool {
		var err error
		r, err = rec.Get(t.Context(), r.ID)
		return err == nil && r.CopiedTo == "s3://calls/box/"+r.Path
	})
	file, err := os.ReadFile(filepath.Join(w.cfg.RecordingsDir(), r.Path))
	w.must(err)
	if all := bucket.all(); len(all) != 1 || !bytes.Equal(all[0], file) {
		t.Errorf("%d objects, or not the sealed file", len(all))
	}
	cust, err := rec.FindCustomer(t.Context(), "4915112345678")
	w.must(err)
	// As if local_days were over: only the copy is left, and it must go all the same.
	w.must(w.app.Store().DeleteRecording(t.Context(), r.ID, recorder.WhyArchived, time.Now()))
	if _, err := rec.OpenExport(t.Context(), r.ID, recorder.OggStereo, ayu); !errors.Is(err, appliance.ErrNoFile) || !strings.Contains(err.Error(), r.CopiedTo) {
		t.Errorf("export of an archived one: %v", err)
	}
	done, err := rec.EraseRecordings(t.Context(), cust.ID, ayu, nil)
	if err != nil || done.Erased != 1 || len(bucket.all()) != 0 {
		t.Errorf("%+v, %v; %d objects are left", done, err, len(bucket.all()))
	}
}
