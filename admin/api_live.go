package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
)

const (
	// pingEvery keeps proxies from closing a quiet stream, and is how soon a session that was ended loses its stream.
	pingEvery = 15 * time.Second
	// streamStall is how long a client may take for one event.
	streamStall = 10 * time.Second
)

type liveList struct {
	Calls []callView `json:"calls" nullable:"false"`
}

func (s *Server) addLive() {
	add(s, operation{id: "live-calls", method: http.MethodGet, path: "/live/calls", summary: "The calls that are running", tag: "live", role: Agent, scope: "live:read"},
		func(ctx context.Context, _ *nothing) (*body[liveList], error) {
			list, err := s.running(ctx)
			return answerWith(liveList{list}, err)
		})
	add(s, operation{id: "hang-up", method: http.MethodPost, path: "/live/calls/{id}/hangup", summary: "Hang a running call up", tag: "live", role: Agent, scope: "live:write", status: http.StatusNoContent}, s.hangup)
	add(s, operation{id: "events", method: http.MethodGet, path: "/events", summary: "Changes of the running calls as server-sent events", tag: "live", role: Agent, scope: "live:read"}, s.events)
	op := s.api.OpenAPI().Paths[apiBase+"/events"].Get
	op.Description = "First the event calls ({\"calls\": […]}: everything that runs), then call (one call, new or changed), gone ({\"id\": …}) and every 15 s ping ({}). " +
		"The stream ends with the session; reconnect and begin with the new calls event."
	op.Responses["200"] = &huma.Response{Description: "The stream.", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}}}
}

func (s *Server) running(ctx context.Context) ([]callView, error) {
	scope, err := s.scope(ctx)
	if err != nil {
		return nil, err
	}
	names, err := s.names(ctx)
	if err != nil {
		return nil, err
	}
	list := []callView{}
	for _, c := range s.live.Running(scope) {
		list = append(list, names.view(c, s.now()))
	}
	return list, nil
}

func (s *Server) hangup(ctx context.Context, in *byID) (*nothing, error) {
	scope, err := s.scope(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(s.live.Running(scope), func(c CallRecord) bool { return c.ID == in.ID }) {
		return nil, ErrNotFound
	}
	if err := s.audit.Record(ctx, s.accounts.event(actor(ctx), "call.hung_up", "call:"+in.ID, nil, nil)); err != nil {
		s.log.Error("a hang-up is missing in the audit log; check the data disk", "call", in.ID, "err", err) // ending a call never waits for a disk
	}
	if !s.live.Hangup(in.ID) {
		return nil, ErrNotFound
	}
	return nil, nil
}

// responseWriter is the connection's writer, for deadlines and flushing.
func responseWriter(hc huma.Context) http.ResponseWriter { return humagin.Unwrap(hc).Writer }

func (s *Server) events(ctx context.Context, _ *nothing) (*huma.StreamResponse, error) {
	release := s.streams.take(principalOf(ctx).user.ID)
	if release == nil {
		return nil, fmt.Errorf("%w: event streams at once; close another page", ErrTooMany)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer release()
		hc.SetHeader("Content-Type", "text/event-stream")
		hc.SetHeader("X-Accel-Buffering", "no")
		w := responseWriter(hc)
		st := &eventStream{w: w, control: http.NewResponseController(w), seen: map[string][]byte{}}
		_ = st.control.SetReadDeadline(time.Time{})
		ctx, cancel := context.WithCancel(hc.Context())
		defer cancel()
		defer context.AfterFunc(s.life, cancel)()
		if err := s.stream(ctx, st); err != nil && ctx.Err() == nil {
			s.log.Debug("an event stream ended", "err", err)
		}
	}}, nil
}

// stream sends until the client, the session or the server ends.
func (s *Server) stream(ctx context.Context, st *eventStream) error {
	changes, stop := s.live.Watch()
	defer stop()
	ping := time.NewTicker(s.ping)
	defer ping.Stop()
	list, err := s.running(ctx)
	if err != nil {
		return err
	}
	if err := st.first(list); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changes:
		case <-ping.C:
			p, err := s.stillGood(ctx)
			if err != nil {
				return err
			}
			ctx = context.WithValue(ctx, principalKey, p)
			if err := st.send("ping", struct{}{}); err != nil {
				return err
			}
		}
		list, err := s.running(ctx)
		if err != nil {
			return err
		}
		if err := st.update(list); err != nil {
			return err
		}
	}
}

// stillGood looks the asker up again. It is no use of the session: a forgotten page must not keep it alive for ever.
func (s *Server) stillGood(ctx context.Context) (*principal, error) {
	p := *principalOf(ctx)
	if p.token != nil {
		list, err := s.accounts.Tokens(ctx, p.user.ID)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(list, func(t Token) bool { return t.ID == p.token.ID }) {
			return nil, ErrNotFound
		}
		acc, err := s.accounts.get(ctx, p.user.ID)
		if err != nil || acc.Disabled {
			return nil, ErrNotFound
		}
		p.user = acc.User
		return &p, nil
	}
	u, _, err := s.accounts.resume(ctx, p.secret, false)
	if err != nil {
		return nil, err
	}
	p.user = u
	return &p, nil
}

// eventStream writes server-sent events and remembers what it has sent of each call.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	seen    map[string][]byte
}

func (st *eventStream) first(list []callView) error {
	for _, v := range list {
		st.seen[v.ID] = picture(v)
	}
	return st.send("calls", liveList{list})
}

// update sends what differs from what was sent.
func (st *eventStream) update(list []callView) error {
	now := map[string]bool{}
	for _, v := range list {
		now[v.ID] = true
		p := picture(v)
		if bytes.Equal(p, st.seen[v.ID]) {
			continue
		}
		st.seen[v.ID] = p
		if err := st.send("call", v); err != nil {
			return err
		}
	}
	for id := range st.seen {
		if now[id] {
			continue
		}
		delete(st.seen, id)
		if err := st.send("gone", map[string]string{"id": id}); err != nil {
			return err
		}
	}
	return nil
}

// picture is a call without what grows by itself: the reader has a clock.
func picture(v callView) []byte {
	v.RingSeconds, v.TalkSeconds = 0, 0
	b, _ := json.Marshal(v) // strings, numbers and times: cannot fail
	return b
}

func (st *eventStream) send(event string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	if err := st.control.SetWriteDeadline(time.Now().Add(streamStall)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(st.w, "event: %s\ndata: %s\n\n", event, b); err != nil {
		return err
	}
	return st.control.Flush()
}
