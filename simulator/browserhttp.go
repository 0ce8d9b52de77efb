package simulator

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

//go:embed page
var pageFiles embed.FS

const (
	contentSecurity = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	maxPageBody = 64 << 10
	liveEvery   = time.Second
	heartbeat   = 15 * time.Second
)

// browserRequest is the body of every POST of the page.
type browserRequest struct {
	Session    string         `json:"session"`
	Name       string         `json:"name"`
	Phone      string         `json:"phone"`
	Number     string         `json:"number"`
	Permission PermissionKind `json:"permission"`
	Call       string         `json:"call"`
	SDP        string         `json:"sdp"`
	Message    string         `json:"message"`
	Attitude   Attitude       `json:"attitude"`
	Reason     string         `json:"reason"`
	Text       string         `json:"text"`

	from netip.Addr
}

// browserRoutes adds the page. Its POSTs are refused from other origins.
func (m *Meta) browserRoutes(mux *http.ServeMux) {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic(err) // the folder is embedded: a build fault
	}
	static := http.StripPrefix("/page/", http.FileServerFS(files))
	mux.Handle("GET /page/", secured(static))
	mux.Handle("GET /browser/events", secured(http.HandlerFunc(m.serveEvents)))
	guard := http.NewCrossOriginProtection()
	mux.Handle("POST /browser/register", secured(guard.Handler(m.pageHandler(m.browserRegister))))
	for path, f := range map[string]func(*browser, *browserRequest) (any, error){
		"call": m.browserDial, "sdp": m.browserSDP, "accept": m.browserAccept, "decline": m.browserDecline,
		"hangup": m.browserHangup, "permission": m.browserPermission, "reply": m.browserReply, "text": m.browserText, "leave": m.browserLeave,
	} {
		mux.Handle("POST /browser/"+path, secured(guard.Handler(m.pageHandler(m.withSession(f)))))
	}
}

func secured(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hd := w.Header()
		hd.Set("Content-Security-Policy", contentSecurity)
		hd.Set("X-Content-Type-Options", "nosniff")
		hd.Set("Referrer-Policy", "no-referrer")
		hd.Set("Cache-Control", "no-store")
		hd.Set("Permissions-Policy", "microphone=(self)")
		h.ServeHTTP(w, r)
	})
}

func (m *Meta) servePage(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	secured(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, pageFiles, "page/index.html")
	})).ServeHTTP(w, r)
}

// pageHandler decodes the body and answers JSON; errors are sentences for the person at the page.
func (m *Meta) pageHandler(f func(*browserRequest) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req browserRequest
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPageBody)).Decode(&req); err != nil {
			pageError(w, http.StatusBadRequest, errors.New("the page sent something unreadable; reload it"))
			return
		}
		if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			req.from = ap.Addr()
		}
		v, err := f(&req)
		switch {
		case errors.Is(err, errSession):
			pageError(w, http.StatusGone, err)
		case err != nil:
			pageError(w, http.StatusConflict, err)
		case v == nil:
			writeJSON(w, obj{"ok": true})
		default:
			writeJSON(w, v)
		}
	})
}

func pageError(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	b, _ := json.Marshal(obj{"error": err.Error()}) // a string always marshals
	_, _ = w.Write(b)
}

var errSession = errors.New("this page was away for too long; reload it")

func (m *Meta) withSession(f func(*browser, *browserRequest) (any, error)) func(*browserRequest) (any, error) {
	return func(r *browserRequest) (any, error) {
		b := m.browserBySession(r.Session)
		if b == nil {
			return nil, errSession
		}
		return f(b, r)
	}
}

func (m *Meta) browserRegister(r *browserRequest) (any, error) {
	if !slices.Contains([]PermissionKind{PermissionNone, PermissionTemporary, PermissionPermanent}, r.Permission) {
		r.Permission = PermissionNone
	}
	b, err := m.addBrowser(r.Name, r.Phone, r.Permission)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	numbers := []any{}
	for _, n := range m.cfg.Numbers {
		numbers = append(numbers, obj{"id": n.PhoneNumberID, "name": n.Name, "number": n.DisplayNumber})
	}
	cfg := b.cust.config()
	return obj{"session": b.session, "name": cfg.Name, "phone": cfg.Phone, "user": cfg.BSUID, "numbers": numbers,
		"live": m.cfg.LiveCalls != nil}, nil
}

func (m *Meta) browserDial(b *browser, r *browserRequest) (any, error) {
	sdp, err := relaySDP(r.SDP, r.from)
	if err != nil {
		return nil, fmt.Errorf("the call could not start: %w", err)
	}
	var opts CallOptions
	if r.Message != "" { // with the call button of a message
		if r.Number, opts.CTAPayload, err = b.cust.button(r.Message); err != nil {
			return nil, err
		}
	}
	id, err := b.dial(m.ctx, r.Number, sdp, opts)
	if err != nil {
		return nil, err
	}
	return obj{"call": id}, nil
}

func (m *Meta) browserSDP(b *browser, r *browserRequest) (any, error) {
	bc, err := b.current(r.Call)
	if err != nil {
		return nil, err
	}
	sdp, err := relaySDP(r.SDP, r.from)
	if err != nil {
		return nil, err
	}
	select {
	case bc.answers <- sdp:
		return nil, nil
	default:
		return nil, errors.New("answered already")
	}
}

func (m *Meta) browserAccept(b *browser, r *browserRequest) (any, error) {
	bc, err := b.current(r.Call)
	if err == nil {
		bc.accept()
	}
	return nil, err
}

func (m *Meta) browserDecline(b *browser, r *browserRequest) (any, error) {
	bc, err := b.current(r.Call)
	if err == nil {
		bc.decline()
	}
	return nil, err
}

func (m *Meta) browserHangup(b *browser, r *browserRequest) (any, error) {
	bc, err := b.current(r.Call)
	switch {
	case err != nil:
		return nil, err
	case r.Reason == "media": // the page heard nothing for too long, or its media failed
		bc.fail(138021)
	default:
		bc.hangup()
	}
	return nil, nil
}

func (m *Meta) browserPermission(b *browser, r *browserRequest) (any, error) {
	for _, n := range m.cfg.Numbers {
		if err := b.cust.SetPermission(n.PhoneNumberID, r.Permission, true); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (m *Meta) browserReply(b *browser, r *browserRequest) (any, error) {
	if !slices.Contains([]Attitude{AttitudeTemporary, AttitudePermanent, AttitudeDecline}, r.Attitude) {
		return nil, errors.New("the page sent an answer nobody knows; reload it")
	}
	n, err := b.cust.numberOf(r.Message)
	if err != nil {
		return nil, err
	}
	if err := m.replyPermission(n, b.cust, r.Message, r.Attitude); err != nil {
		return nil, err
	}
	kind, _ := b.cust.PermissionFor(n.PhoneNumberID)
	return obj{"permission": kind}, nil
}

func (m *Meta) browserText(b *browser, r *browserRequest) (any, error) {
	text := strings.TrimSpace(r.Text)
	if text == "" || utf8.RuneCountInString(text) > maxText {
		return nil, fmt.Errorf("a message has 1 to %d characters", maxText)
	}
	return nil, b.cust.SendText(r.Number, text)
}

func (m *Meta) browserLeave(b *browser, _ *browserRequest) (any, error) {
	m.dropBrowser(b)
	return nil, nil
}

// serveEvents is the tab's event stream.
func (m *Meta) serveEvents(w http.ResponseWriter, r *http.Request) {
	b := m.browserBySession(r.URL.Query().Get("session"))
	if b == nil {
		w.WriteHeader(http.StatusNoContent) // tells EventSource to stop trying
		return
	}
	b.mu.Lock()
	b.stream++
	generation := b.stream
	b.active = true
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		if b.stream == generation {
			b.active = false
		}
		b.mu.Unlock()
		b.expireWithout(m, generation)
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	s := &eventStream{w: w, rc: http.NewResponseController(w)}
	if s.comment("hello") == nil {
		m.streamEvents(r, b, s)
	}
}

func (m *Meta) streamEvents(r *http.Request, b *browser, s *eventStream) {
	live, beat := time.NewTicker(liveEvery), time.NewTicker(heartbeat)
	defer live.Stop()
	defer beat.Stop()
	var last []byte
	for {
		var err error
		select {
		case e := <-b.events:
			err = s.data(e)
		case <-live.C:
			if e := m.liveEvent(); e != nil && !bytes.Equal(e, last) {
				last = e
				err = s.data(e)
			}
		case <-beat.C:
			err = s.comment("beat")
		case <-b.done:
			return
		case <-r.Context().Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (m *Meta) liveEvent() []byte {
	m.mu.Lock()
	f := m.cfg.LiveCalls
	m.mu.Unlock()
	if f == nil {
		return nil
	}
	calls := f()
	if calls == nil {
		calls = []LiveCall{}
	}
	b, err := json.Marshal(struct {
		Type  string     `json:"type"`
		Calls []LiveCall `json:"calls"`
	}{"live", calls})
	if err != nil {
		return nil
	}
	return b
}

type eventStream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (s *eventStream) write(format string, a any) error {
	// The server's write timeout is for answers; a stream gets a deadline per event.
	if err := s.rc.SetWriteDeadline(time.Now().Add(heartbeat)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.w, format, a); err != nil {
		return err
	}
	return s.rc.Flush()
}

func (s *eventStream) data(b []byte) error       { return s.write("data: %s\n\n", b) }
func (s *eventStream) comment(text string) error { return s.write(": %s\n\n", text) }
