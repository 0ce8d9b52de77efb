package whatsapp

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"deskbridge/graph"
)

// WebhookPath is the only path the public listener knows.
const WebhookPath = "/webhook/meta"

// The limits of the public listener. Meta sends up to 3 MB (§5.3), and nearly always a few KB.
const (
	maxBody = 3 << 20
	// maxInFlight bounds the requests being verified and stored. A request takes its place when its body is here: slow
	// senders would otherwise take all places and keep Meta out.
	maxInFlight = 64
	// smallBody needs no reservation: the listener's connections bound the memory of all of them. maxBodies bounds what the
	// larger ones may take together before anybody has verified them.
	smallBody = 64 << 10
	maxBodies = 48 << 20
	// smallBodyTime is how long a small body may take.
	smallBodyTime = 5 * time.Second
	maxChallenge  = 1024
	// storeLimit: Meta gives up after 5 to 20 s; a store that takes longer than this is treated as refusing.
	storeLimit = 4 * time.Second
)

// Inbox keeps webhook events between their 200 and their being worked off.
type Inbox interface {
	// Put stores raw under key, durably, unless the key was put before, done or not: then it reports a duplicate. Keys are
	// kept for at least as long as Meta redelivers, 7 days.
	Put(ctx context.Context, key string, raw []byte) (duplicate bool, err error)
	// Pending calls each with everything put and not done, oldest first, until each fails.
	Pending(ctx context.Context, each func(key string, raw []byte) error) error
	// Done marks the event as worked off.
	Done(ctx context.Context, key string) error
}

// ServeHTTP takes Meta's handshake and events. What is acknowledged is on stable storage.
func (w *Webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			w.metrics.panics.Inc()
			w.log.Error("bug in the webhook intake; Meta will repeat the event", "panic", p, "stack", stack())
			w.reply(rw, http.StatusInternalServerError, "bug")
		}
	}()
	switch {
	case r.URL.Path != WebhookPath:
		w.reply(rw, http.StatusNotFound, "not_found")
	case r.Method == http.MethodGet:
		w.handshake(rw, r)
	case r.Method == http.MethodPost:
		w.post(rw, r)
	default:
		rw.Header().Set("Allow", "GET, POST")
		w.reply(rw, http.StatusMethodNotAllowed, "method")
	}
}

// reply sends a bare status and counts it. Strangers learn nothing from it.
func (w *Webhook) reply(rw http.ResponseWriter, status int, result string) {
	w.metrics.results.WithLabelValues(result).Inc()
	rw.Header().Set("Content-Length", "0")
	rw.WriteHeader(status)
}

// handshake answers the verification of our URL (§5.1).
func (w *Webhook) handshake(rw http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	challenge := q.Get("hub.challenge")
	ok := 0
	for _, l := range w.lines.Load().all {
		ok |= sameSecret(q.Get("hub.verify_token"), l.verify)
	}
	if q.Get("hub.mode") != "subscribe" || ok == 0 || len(challenge) > maxChallenge {
		w.log.Warn("webhook verification refused; compare the verify token in Meta's dashboard with the line's")
		w.reply(rw, http.StatusForbidden, "handshake_refused")
		return
	}
	w.metrics.results.WithLabelValues("handshake").Inc()
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(rw, challenge)
}

// sameSecret compares in constant time, whatever the lengths.
func sameSecret(given string, want graph.Secret) int {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want.Reveal()))
	if want.Empty() {
		return 0
	}
	return subtle.ConstantTimeCompare(a[:], b[:])
}

func (w *Webhook) post(rw http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	size := r.ContentLength
	if size > maxBody {
		w.reply(rw, http.StatusRequestEntityTooLarge, "too_large")
		return
	}
	small := size >= 0 && size <= smallBody
	if !small {
		if size < 0 {
			size = maxBody // chunked: as large as may be
		}
		defer w.bodies.Add(-size)
		if w.bodies.Add(size) > maxBodies {
			w.refuseBody(rw, errBusy)
			return
		}
	}
	body, err := readBody(rw, r, small)
	if err != nil {
		w.refuseBody(rw, err)
		return
	}
	if !w.enter() {
		w.refuseBody(rw, errBusy)
		return
	}
	defer w.inFlight.Add(-1)
	lines := w.lines.Load().signed(body, r.Header.Get(graph.SignatureHeader))
	if lines == nil {
		w.reply(rw, http.StatusUnauthorized, "bad_signature")
		return
	}
	events, err := graph.ParseWebhook(body)
	if err != nil {
		w.log.Warn("a signed webhook cannot be read", "err", err)
		w.reply(rw, http.StatusBadRequest, "malformed")
		return
	}
	if err := w.store(r.Context(), lines, events); err != nil {
		w.log.Error("a webhook could not be stored; Meta will repeat it", "err", err)
		rw.Header().Set("Retry-After", "5")
		w.reply(rw, http.StatusServiceUnavailable, "store_refused")
		return
	}
	w.metrics.intake.Observe(time.Since(begin).Seconds())
	w.reply(rw, http.StatusOK, "stored")
}

// errBusy: there is no room for another request.
var errBusy = errors.New("too many requests at once")

func (w *Webhook) refuseBody(rw http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errBusy):
		rw.Header().Set("Retry-After", "1")
		w.reply(rw, http.StatusServiceUnavailable, "busy")
	case errors.As(err, &tooLarge):
		w.reply(rw, http.StatusRequestEntityTooLarge, "too_large")
	default:
		w.reply(rw, http.StatusBadRequest, "unreadable")
	}
}

// readBody reads at most maxBody bytes, into one buffer when the length is known.
func readBody(rw http.ResponseWriter, r *http.Request, small bool) ([]byte, error) {
	if c := http.NewResponseController(rw); small && c.SetReadDeadline(time.Now().Add(smallBodyTime)) == nil {
		defer c.SetReadDeadline(time.Time{}) //nolint:errcheck // the connection is dead then
	}
	rd := http.MaxBytesReader(rw, r.Body, maxBody)
	if r.ContentLength < 0 {
		return io.ReadAll(rd)
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(rd, body)
	return body, err
}

// enter takes a place among the requests in flight.
func (w *Webhook) enter() bool {
	if w.inFlight.Add(1) > maxInFlight {
		w.inFlight.Add(-1)
		return false
	}
	return true
}

// lineSet is the lines of one moment.
type lineSet struct {
	all      []*Line
	byNumber map[string]*Line
}

// signed returns the lines whose app signed the body, nil if none. An event for another app's line is not believed.
func (s *lineSet) signed(body []byte, header string) *lineSet {
	var out *lineSet
	verified := map[string]bool{}
	for _, l := range s.all {
		ok, done := verified[l.secret.Reveal()]
		if !done {
			ok = graph.Verify(l.secret, body, header)
			verified[l.secret.Reveal()] = ok
		}
		if ok {
			if out == nil {
				out = &lineSet{byNumber: map[string]*Line{}}
			}
			out.add(l)
		}
	}
	return out
}

// concerns reports whether an event is about one of the lines or about no number in particular. Account-level events name
// the number by its digits, if at all (§14).
func (s *lineSet) concerns(ev *graph.Event) bool {
	switch {
	case ev.Number != "":
		return s.byNumber[ev.Number] != nil
	case ev.Display != "":
		return slices.ContainsFunc(s.all, func(l *Line) bool { return l.display == "" || l.display == ev.Display })
	}
	return true
}

// byDisplay is the line of a number's digits, nil if there is none.
func (s *lineSet) byDisplay(digits string) *Line {
	i := slices.IndexFunc(s.all, func(l *Line) bool { return digits != "" && l.display == digits })
	if i < 0 {
		return nil
	}
	return s.all[i]
}

func (s *lineSet) add(l *Line) {
	s.all = append(s.all, l)
	s.byNumber[l.number] = l
}
