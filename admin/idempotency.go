package admin

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Idempotency keys: a request that changes something and bears an Idempotency-Key is done once; the same request again
// within the time gets the same answer. Kept in memory: after a restart a repeated request is done again, which the
// operations bear (a login is taken, a call has ended).
const (
	idempotencyHeader = "Idempotency-Key"
	idempotencyFor    = 10 * time.Minute
	maxIdempotent     = 1000
	maxIdempotencyKey = 128
	maxKeptAnswer     = 64 << 10
)

type onceEach struct {
	now func() time.Time

	mu      sync.Mutex
	answers map[string]*answer
	order   []string // oldest first
}

// answer is what a request got; done is closed when it is known.
type answer struct {
	request [sha256.Size]byte
	at      time.Time
	done    bool
	status  int
	header  http.Header
	body    []byte
}

func newOnceEach(now func() time.Time) *onceEach {
	return &onceEach{now: now, answers: map[string]*answer{}}
}

func (o *onceEach) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, p := r.Header.Get(idempotencyHeader), principalOf(r.Context())
		if key == "" || p == nil || !unsafeMethod(r.Method) || answersSecret(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		if len(key) > maxIdempotencyKey {
			refuse(w, problem(http.StatusBadRequest, "The Idempotency-Key is longer than 128 characters."))
			return
		}
		body, err := io.ReadAll(r.Body) // bounded by the guard
		if err != nil {
			refuse(w, problem(http.StatusRequestEntityTooLarge, "A request has at most 64 KiB."))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		id := p.user.ID + " " + key
		request := sha256.Sum256(append([]byte(r.Method+" "+r.URL.RequestURI()+"\n"), body...))
		a, mine := o.claim(id, request)
		switch {
		case mine:
			o.perform(id, a, next, w, r)
		case a.request != request:
			refuse(w, problem(http.StatusUnprocessableEntity, "This Idempotency-Key was used for another request.").as("key_reused"))
		case !a.done:
			refuse(w, problem(http.StatusConflict, "The same request is being worked on.").as("in_progress"))
		default:
			replay(w, a)
		}
	})
}

// answersSecret are the operations whose answers hold a secret and must not be kept, not even in memory.
func answersSecret(path string) bool {
	for _, p := range []string{"/api/v1/session", "/api/v1/setup", "/api/v1/me", "/api/v1/tokens"} {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}

// claim returns a copy of what is known of a key, or says that the request is the first.
func (o *onceEach) claim(id string, request [sha256.Size]byte) (a answer, mine bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	for len(o.order) > 0 && (len(o.order) >= maxIdempotent || now.Sub(o.answers[o.order[0]].at) >= idempotencyFor) {
		delete(o.answers, o.order[0])
		o.order = o.order[1:]
	}
	if have := o.answers[id]; have != nil {
		return *have, false
	}
	a = answer{request: request, at: now}
	o.answers[id] = &a
	o.order = append(o.order, id)
	return a, true
}

func (o *onceEach) perform(id string, a answer, next http.Handler, w http.ResponseWriter, r *http.Request) {
	rec := &recorder{ResponseWriter: w}
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		have := o.answers[id]
		if have == nil || have.request != a.request {
			return
		}
		have.done, have.status, have.header, have.body = true, rec.status, w.Header().Clone(), rec.body.Bytes()
		if rec.status == 0 || rec.status >= 500 || rec.tooLong { // may be tried again
			delete(o.answers, id)
			for i, k := range o.order {
				if k == id {
					o.order = append(o.order[:i:i], o.order[i+1:]...)
					break
				}
			}
		}
	}()
	next.ServeHTTP(rec, r)
}

func replay(w http.ResponseWriter, a answer) {
	for k, v := range a.header {
		if k != "Set-Cookie" {
			w.Header()[k] = v
		}
	}
	w.Header().Set("Idempotency-Replayed", "true")
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// recorder passes an answer on and keeps a copy.
type recorder struct {
	http.ResponseWriter
	status  int
	body    bytes.Buffer
	tooLong bool
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.body.Len()+len(b) > maxKeptAnswer {
		r.tooLong = true
	} else {
		r.body.Write(b)
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
