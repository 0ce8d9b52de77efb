package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
)

const (
	// soundStall is how long a listener may take for one piece of a recording.
	soundStall = 30 * time.Second
	// peaksAgain is when to ask again for an outline that is being made, in seconds.
	peaksAgain = "2"
)

type recordingView struct {
	ID        string          `json:"id"`
	State     string          `json:"state" enum:"open,finished,lost,deleted"`
	StartedAt time.Time       `json:"started_at"`
	Duration  float64         `json:"duration_seconds"`
	Bytes     int64           `json:"bytes"`
	Held      bool            `json:"held" doc:"Under a legal hold: it is not deleted."`
	Marks     []RecordingMark `json:"marks" nullable:"false"`
}

type recordingList struct {
	Recordings []recordingView `json:"recordings" nullable:"false"`
}

type getSound struct {
	ID     string `path:"id" maxLength:"64"`
	Format string `query:"format" enum:"ogg,wav,customer,agent" default:"ogg" doc:"ogg: Opus, the customer left and the agent right; wav: the same, 16 kHz; customer, agent: one side, Opus."`
}

type peaksAnswer struct {
	Status     int
	RetryAfter string `header:"Retry-After" doc:"With 202: it is being made, ask again then."`
	Body       Peaks
}

func (s *Server) addRecordings() {
	read := operation{tag: "recordings", role: Agent, scope: "recordings:read"}
	add(s, read.at("list-recordings", http.MethodGet, "/calls/{id}/recordings", "The recordings of a call"), s.listRecordings)
	add(s, read.at("play-recording", http.MethodGet, "/recordings/{id}/audio", "A recording to listen to; ranges work"),
		func(ctx context.Context, in *getSound) (*huma.StreamResponse, error) { return s.sound(ctx, in, false) })
	add(s, read.at("download-recording", http.MethodGet, "/recordings/{id}/download", "A recording as a file; ranges work"),
		func(ctx context.Context, in *getSound) (*huma.StreamResponse, error) { return s.sound(ctx, in, true) })
	for _, path := range []string{"/recordings/{id}/audio", "/recordings/{id}/download"} {
		op := s.api.OpenAPI().Paths[apiBase+path].Get
		content := map[string]*huma.MediaType{}
		for _, t := range []string{"audio/ogg", "audio/wav"} {
			content[t] = &huma.MediaType{Schema: &huma.Schema{Type: "string", Format: "binary"}}
		}
		op.Responses["200"] = &huma.Response{Description: "The sound.", Content: content}
		op.Responses["206"] = &huma.Response{Description: "The part asked for.", Content: content}
		op.Responses["410"] = &huma.Response{Description: "The file is not here any more.", Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}}}}
	}
	add(s, read.at("get-peaks", http.MethodGet, "/recordings/{id}/peaks", "How loud each side of a recording is, for a waveform"), s.getPeaks)
	add(s, operation{id: "toggle-recording", method: http.MethodPost, path: "/live/calls/{id}/recording", summary: "Begin, pause or resume the recording of a running call",
		tag: "live", role: Agent, scope: "live:write", status: http.StatusNoContent}, s.toggleRecording)
}

func (s *Server) listRecordings(ctx context.Context, in *byID) (*body[recordingList], error) {
	if err := s.seesCall(ctx, in.ID); err != nil {
		return nil, err
	}
	list, err := s.sounds.RecordingsOf(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := recordingList{[]recordingView{}}
	for _, r := range list {
		out.Recordings = append(out.Recordings, recordingView{ID: r.ID, State: r.State, StartedAt: r.Started.UTC(), Duration: seconds(r.Duration), Bytes: r.Bytes,
			Held: r.Held, Marks: append([]RecordingMark{}, r.Marks...)})
	}
	return answerWith(out, nil)
}

// seesCall is ErrNotFound for a call that the asker may not see.
func (s *Server) seesCall(ctx context.Context, id string) error {
	scope, err := s.scope(ctx)
	if err != nil {
		return err
	}
	_, err = s.calls.Call(ctx, id, scope)
	return err
}

// seesRecording is ErrNotFound for the recording of a call that the asker may not see.
func (s *Server) seesRecording(ctx context.Context, id string) error {
	call, err := s.sounds.RecordingCall(ctx, id)
	if err != nil {
		return err
	}
	return s.seesCall(ctx, call)
}

// sound gives a recording, or the part of it that the client asks for. It is in the audit log before the first byte leaves: no log, no
// sound.
func (s *Server) sound(ctx context.Context, in *getSound, download bool) (*huma.StreamResponse, error) {
	if err := s.seesRecording(ctx, in.ID); err != nil {
		return nil, err
	}
	action := "recording.played"
	if download {
		action = "recording.downloaded"
	}
	if err := s.audit.Record(ctx, s.accounts.event(actor(ctx), action, "recording:"+in.ID, nil, map[string]string{"format": in.Format})); err != nil {
		return nil, err
	}
	f, err := s.sounds.OpenRecording(ctx, in.ID, in.Format, download, principalOf(ctx).user.ID, clientOf(ctx).address.String())
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer f.Close()
		hc.SetHeader("Content-Type", f.ContentType)
		hc.SetHeader("ETag", f.ETag)
		if download {
			hc.SetHeader("Content-Disposition", fmt.Sprintf("attachment; filename=%q", f.Name))
		}
		w := responseWriter(hc)
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Time{})
		http.ServeContent(&pacedSound{w, control}, humagin.Unwrap(hc).Request, "", f.Modified, f)
	}}, nil
}

// pacedSound gives the client time for each piece instead of for the whole: a listener takes as long as the call was.
type pacedSound struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write implements io.Writer.
func (p *pacedSound) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(soundStall)); err != nil {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}

func (s *Server) getPeaks(ctx context.Context, in *byID) (*peaksAnswer, error) {
	if err := s.seesRecording(ctx, in.ID); err != nil {
		return nil, err
	}
	p, ready, err := s.sounds.RecordingPeaks(ctx, in.ID)
	switch {
	case err != nil:
		return nil, err
	case !ready:
		return &peaksAnswer{Status: http.StatusAccepted, RetryAfter: peaksAgain}, nil
	}
	return &peaksAnswer{Status: http.StatusOK, Body: p}, nil
}

func (s *Server) toggleRecording(ctx context.Context, in *byID) (*nothing, error) {
	scope, err := s.scope(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(s.live.Running(scope), func(c CallRecord) bool { return c.ID == in.ID }) {
		return nil, ErrNotFound
	}
	if err := s.audit.Record(ctx, s.accounts.event(actor(ctx), "recording.toggled", "call:"+in.ID, nil, nil)); err != nil {
		return nil, err
	}
	if !s.sounds.ToggleRecording(in.ID) {
		return nil, ErrNotFound
	}
	return nil, nil
}
