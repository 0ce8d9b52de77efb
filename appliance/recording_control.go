package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/user"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"deskbridge/recorder"
	"deskbridge/store"
)

// RecordingFormats are the formats of exports by the names the command line and links use.
var RecordingFormats = map[string]recorder.ExportFormat{
	"ogg": recorder.OggStereo, "customer": recorder.OggCustomer, "agent": recorder.OggAgent, "wav": recorder.WAV16k, "wav48": recorder.WAV48k,
}

// Recording is what the ledger knows of one recording.
type Recording = store.Recording

// RecordingFinished is the state of a recording that is complete.
const RecordingFinished = store.RecordingFinished

// RecordingList is a page of recordings as the control socket gives it.
type RecordingList struct {
	Recordings []Recording `json:"recordings"`
	Next       string      `json:"next,omitempty"`
}

// RecordingProgress is one line of an answer that takes a while. The last has Done true or Error set.
type RecordingProgress struct {
	At     int64            `json:"at"`
	Of     int64            `json:"of"`
	Done   bool             `json:"done,omitempty"`
	Error  string           `json:"error,omitempty"`
	Report *RecordingReport `json:"report,omitempty"`
	Erased *Erasure         `json:"erased,omitempty"`
}

// RecordingReport is what a verification found, in words.
type RecordingReport struct {
	Verdict  string        `json:"verdict"` // sound, incomplete, damaged
	Opened   bool          `json:"opened"`
	HashOK   bool          `json:"hash_ok"`
	Duration time.Duration `json:"duration"`
	Packets  uint64        `json:"packets"`
	Lost     uint64        `json:"lost"`
	Ended    string        `json:"ended"`
	Faults   uint64        `json:"faults"`
	First    string        `json:"first,omitempty"` // the first fault
}

func reportOf(r recorder.Report) *RecordingReport {
	out := &RecordingReport{Verdict: r.Verdict.String(), Opened: r.Opened, HashOK: r.HashMatches, Duration: r.Duration,
		Packets: r.Packets[recorder.Customer] + r.Packets[recorder.Agent], Lost: r.Lost, Ended: r.Reason.String(), Faults: r.Faults}
	if r.First != nil {
		out.First = r.First.String()
	}
	return out
}

type peerKey struct{}

// withPeer notes which system user is at the other end of a control connection: the kernel says so, not the client.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	who := "unknown"
	if u, ok := conn.(*net.UnixConn); ok {
		if raw, err := u.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) {
				if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
					who = systemUser(cred.Uid)
				}
			})
		}
	}
	return context.WithValue(ctx, peerKey{}, who)
}

func systemUser(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// accessor of a control request. behind is who stands behind sudo as the client says: a hint, never believed alone.
func accessor(r *http.Request) Accessor {
	who, _ := r.Context().Value(peerKey{}).(string)
	a := Accessor{Who: firstOf(who, "unknown"), From: "command line"}
	if behind := r.URL.Query().Get("behind"); behind != "" {
		a.From += fmt.Sprintf(", said to be %.64q", behind)
	}
	return a
}

func (c *Control) addRecordings(mux *http.ServeMux) {
	handle := func(pattern string, f func(w http.ResponseWriter, r *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if c.recordings == nil {
				answer(w, http.StatusNotFound, controlError{Code: "not_found", Message: "there are no recordings here"})
				return
			}
			if err := f(w, r); err != nil {
				answerError(w, err)
			}
		})
	}
	handle("GET /recordings", c.listRecordings)
	handle("GET /recordings/{id}/export", c.exportRecording)
	handle("POST /recordings/{id}/verify", c.verifyRecording)
	handle("POST /recordings/{id}/link", c.linkRecording)
	handle("POST /recordings/{id}/hold", func(w http.ResponseWriter, r *http.Request) error {
		return okay(w, c.recordings.Hold(r.Context(), r.PathValue("id"), r.URL.Query().Get("reason"), accessor(r)))
	})
	handle("POST /recordings/{id}/release", func(w http.ResponseWriter, r *http.Request) error {
		return okay(w, c.recordings.Release(r.Context(), r.PathValue("id"), accessor(r)))
	})
	handle("POST /recordings/erase", c.eraseRecordings)
	handle("POST /recordings/clock", func(w http.ResponseWriter, _ *http.Request) error { return okay(w, c.recordings.ConfirmClock()) })
	handle("POST /recordings/key", func(w http.ResponseWriter, _ *http.Request) error {
		id, err := c.recordings.RotateKey()
		if err != nil {
			return err
		}
		answer(w, http.StatusOK, map[string]string{"key": id})
		return nil
	})
}

func okay(w http.ResponseWriter, err error) error {
	if err == nil {
		answer(w, http.StatusOK, struct{}{})
	}
	return err
}

func answerError(w http.ResponseWriter, err error) {
	status, code := http.StatusConflict, "refused"
	switch {
	case errors.Is(err, store.ErrNotFound):
		status, code = http.StatusNotFound, "not_found"
	case errors.Is(err, ErrNoFile):
		status, code = http.StatusGone, "no_file"
	case errors.Is(err, errRequest):
		status, code = http.StatusBadRequest, "invalid"
	}
	answer(w, status, controlError{Code: code, Message: err.Error()})
}

var errRequest = errors.New("invalid request")

func (c *Control) listRecordings(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := RecordingFilter{Line: q.Get("line"), Agent: q.Get("agent"), Call: q.Get("call"), Held: q.Get("held") == "true", Cursor: q.Get("cursor"), Limit: pageSize}
	for _, t := range []struct {
		key string
		at  *time.Time
	}{{"since", &f.Since}, {"before", &f.Before}} {
		if text := q.Get(t.key); text != "" {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return fmt.Errorf("%w: %s: %w", errRequest, t.key, err)
			}
			*t.at = at
		}
	}
	if who := q.Get("customer"); who != "" {
		cust, err := c.recordings.FindCustomer(r.Context(), who)
		if err != nil {
			return err
		}
		f.Customer = cust.ID
	}
	page, err := c.recordings.List(r.Context(), f)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, RecordingList{page.Items, page.Next})
	return nil
}

func formatOf(r *http.Request) (recorder.ExportFormat, error) {
	f, ok := RecordingFormats[firstOf(r.URL.Query().Get("format"), "ogg")]
	if !ok {
		return 0, fmt.Errorf("%w: there is no format %q", errRequest, r.URL.Query().Get("format"))
	}
	return f, nil
}

func (c *Control) exportRecording(w http.ResponseWriter, r *http.Request) error {
	f, err := formatOf(r)
	if err != nil {
		return err
	}
	e, err := c.recordings.OpenExport(r.Context(), r.PathValue("id"), f, accessor(r))
	if err != nil {
		return err
	}
	serveExport(w, r, e, true)
	return nil
}

func (c *Control) linkRecording(w http.ResponseWriter, r *http.Request) error {
	f, err := formatOf(r)
	if err != nil {
		return err
	}
	ttl, err := time.ParseDuration(firstOf(r.URL.Query().Get("for"), "1h"))
	if err != nil {
		return fmt.Errorf("%w: for: %w", errRequest, err)
	}
	link, err := c.recordings.Link(r.Context(), r.PathValue("id"), f, ttl, accessor(r))
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, map[string]string{"link": link})
	return nil
}

func (c *Control) verifyRecording(w http.ResponseWriter, r *http.Request) error {
	say := newProgress(w)
	rep, err := c.recordings.Verify(r.Context(), r.PathValue("id"), accessor(r), say.at)
	say.end(RecordingProgress{Report: reportOf(rep)}, err)
	return nil
}

func (c *Control) eraseRecordings(w http.ResponseWriter, r *http.Request) error {
	who, err := c.recordings.FindCustomer(r.Context(), r.URL.Query().Get("customer"))
	if err != nil {
		return err
	}
	erase := c.recordings.EraseRecordings
	if r.URL.Query().Get("everything") == "true" {
		erase = c.recordings.EraseCustomer
	}
	say := newProgress(w)
	done, err := erase(r.Context(), who.ID, accessor(r), func(at, of int) { say.at(int64(at), int64(of)) })
	say.end(RecordingProgress{Erased: &done}, err)
	return nil
}

// progress is an answer of several lines, each a JSON object.
type progress struct {
	c    *http.ResponseController
	enc  *json.Encoder
	last time.Time
	of   int64
}

const progressEvery = 100 * time.Millisecond

func newProgress(w http.ResponseWriter) *progress {
	w.Header().Set("Content-Type", "application/x-ndjson")
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // see serveExport
	return &progress{c: c, enc: json.NewEncoder(w)}
}

func (p *progress) at(done, total int64) {
	p.of = total
	if now := time.Now(); now.Sub(p.last) >= progressEvery {
		p.last = now
		p.send(RecordingProgress{At: done, Of: total})
	}
}

func (p *progress) send(l RecordingProgress) {
	_ = p.c.SetWriteDeadline(time.Now().Add(writeLimit))
	_ = p.enc.Encode(l) // a client that left is noticed by the work's context
	_ = p.c.Flush()
}

func (p *progress) end(l RecordingProgress, err error) {
	l.At, l.Of, l.Done = p.of, p.of, true
	if err != nil {
		l = RecordingProgress{Error: err.Error()}
	}
	p.send(l)
}
