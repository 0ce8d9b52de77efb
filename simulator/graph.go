package simulator

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// obj is a JSON object. Meta leaves keys out rather than sending them empty, which maps express better than structs.
type obj = map[string]any

const (
	maxGraphBody   = 1 << 20
	maxRecorded    = 20000
	scopeMessaging = "whatsapp_business_messaging"
	scopeManage    = "whatsapp_business_management"
)

// Request is one Graph request the simulator took, for assertions.
type Request struct {
	At     time.Time
	Method string
	Path   string
	Query  string
	Action string // call action or endpoint, as in Match
	Wacid  string
	Body   []byte
	Status int // 0: the connection was dropped
	Code   int // Graph error code, 0 for success
	Fault  bool
}

// Requests returns all requests so far, oldest first, optionally only those with one of the actions.
func (m *Meta) Requests(actions ...string) []Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Request
	for _, r := range m.requests {
		if len(actions) == 0 || slices.Contains(actions, r.Action) {
			out = append(out, r)
		}
	}
	return out
}

func (m *Meta) record(r Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests = appendBounded(m.requests, r)
}

func appendBounded[T any](s []T, v T) []T {
	if len(s) >= maxRecorded {
		s = append(s[:0], s[maxRecorded/4:]...)
	}
	return append(s, v)
}

var versionPath = regexp.MustCompile(`^/v\d{1,3}\.\d{1,2}/`)

func (m *Meta) handler() http.Handler {
	mux := http.NewServeMux()
	m.browserRoutes(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			m.servePage(w, r)
			return
		}
		m.serveGraph(w, r)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(v)
				}
				m.panics.Add(1)
				m.log.Error("simulated Graph handler panicked", "path", r.URL.Path, "panic", v)
				http.Error(w, "internal error", http.StatusInternalServerError)
			}
		}()
		mux.ServeHTTP(w, r)
	})
}

// graphRequest is a request with its number found, its token checked and its body read.
type graphRequest struct {
	*http.Request
	body   []byte
	num    *number
	action string
	wacid  string
	// beforeAnswer runs when the answer is decided and about to be written.
	beforeAnswer func()
}

type answer any

func (m *Meta) serveGraph(w http.ResponseWriter, r *http.Request) {
	start, trace := time.Now(), m.newID("Sim")
	rec := Request{At: start, Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxGraphBody))
	rec.Body = body
	q := &graphRequest{Request: r, body: body}
	var result answer
	var gerr *graphError
	var serve func(*graphRequest) (answer, *graphError)
	if err != nil {
		gerr = refuse(100, "unreadable or oversized request body")
	} else {
		serve, gerr = m.route(q)
	}
	f := m.takeFault(q.action)
	if !m.latency(r.Context(), f) {
		return
	}
	if gerr == nil && (f == nil || !f.answers() || f.AfterProcessing) {
		if result, gerr = serve(q); gerr == nil && q.beforeAnswer != nil {
			q.beforeAnswer()
		}
	}
	rec.Action, rec.Wacid = q.action, q.wacid
	if f != nil && f.answers() {
		rec.Fault = true
		m.failRequest(w, r, f, trace, &rec)
		return
	}
	if gerr != nil {
		rec.Code, rec.Status = gerr.code, gerr.httpStatus()
		m.record(rec)
		gerr.write(w, trace)
		return
	}
	rec.Status = http.StatusOK
	m.record(rec)
	writeJSON(w, result)
}

func writeJSON(w http.ResponseWriter, v any) {
	b, err := marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_, _ = w.Write(b)
}

// marshal leaves < > & and non-ASCII alone, as Meta mostly does.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

func (m *Meta) latency(ctx context.Context, f *Fault) bool {
	d := m.between(m.timing.GraphLatency-m.timing.GraphJitter, m.timing.GraphLatency+m.timing.GraphJitter)
	if f != nil {
		d += f.Delay
	}
	return sleep(ctx, d)
}

func (m *Meta) failRequest(w http.ResponseWriter, r *http.Request, f *Fault, trace string, rec *Request) {
	switch {
	case f.Hang:
		m.record(*rec)
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case f.Drop:
		m.record(*rec)
		panic(http.ErrAbortHandler)
	case f.Garbage:
		rec.Status = http.StatusOK
		m.record(*rec)
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html><body>Sorry, something went wrong\x00\xff</body>")
	default:
		e := f.err()
		rec.Status, rec.Code = e.httpStatus(), e.code
		m.record(*rec)
		e.write(w, trace)
	}
}

type endpointFunc = func(*graphRequest) (answer, *graphError)

// route finds the endpoint of §2 and checks the token. It sets q.action even when it refuses.
func (m *Meta) route(q *graphRequest) (endpointFunc, *graphError) {
	prefix := versionPath.FindString(q.URL.Path)
	if prefix == "" {
		q.action = "unknown"
		return nil, &graphError{code: 100, status: http.StatusNotFound, details: "unknown path; expected /v<N>.0/…"}
	}
	id, edge, _ := strings.Cut(strings.TrimPrefix(q.URL.Path, prefix), "/")
	if id == "debug_token" && edge == "" && q.Method == http.MethodGet {
		q.action = "debug_token"
		return m.debugToken, nil
	}
	token := bearer(q.Request)
	serve, action, scope := m.endpoint(q.Method, id, edge)
	q.action = action
	if action == "calls" {
		q.action, q.wacid = peekCall(q.body)
	}
	m.mu.Lock()
	num := m.numbers[id]
	if num == nil { // a WABA path: the token says which number is meant
		for _, n := range m.numbers {
			if n.Token == token && n.WABA == id {
				num = n
			}
		}
	}
	gerr := m.checkToken(q, token, num, scope)
	m.mu.Unlock()
	switch {
	case gerr != nil:
		return nil, gerr
	case num == nil:
		return nil, refuse(100, "Unsupported %s request. Object with ID '%s' does not exist or cannot be loaded", strings.ToLower(q.Method), id)
	case serve == nil:
		return nil, refuse(100, "Unknown path components: /%s, or method %s not allowed", edge, q.Method)
	}
	q.num = num
	return serve, nil
}

func (m *Meta) endpoint(method, id, edge string) (endpointFunc, string, string) {
	switch method + " " + edge {
	case "POST calls":
		return m.serveCalls, "calls", scopeMessaging
	case "GET call_permissions":
		return m.serveCallPermissions, "call_permissions", scopeMessaging
	case "GET settings":
		return m.readSettings, "settings", scopeManage
	case "POST settings":
		return m.writeSettings, "settings", scopeManage
	case "POST messages":
		return m.serveMessages, "messages", scopeMessaging
	case "GET ":
		return m.serveNumber, "number", scopeManage
	case "GET phone_numbers":
		return m.servePhoneNumbers, "number", scopeManage
	case "GET subscribed_apps":
		return m.serveSubscribed, "subscribed_apps", scopeManage
	case "POST subscribed_apps", "POST register", "POST deregister":
		return func(*graphRequest) (answer, *graphError) { return obj{"success": true}, nil }, edge, scopeManage
	}
	return nil, "unknown", ""
}

func bearer(r *http.Request) string {
	t, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return t
}

// checkToken is §3.2. m.mu is held.
func (m *Meta) checkToken(q *graphRequest, token string, num *number, scope string) *graphError {
	if token == "" {
		return refuse(190, "An access token is required to request this resource")
	}
	var owner *number
	for _, n := range m.numbers {
		if n.Token == token && (num == nil || n == num) {
			owner = n
		}
	}
	if owner == nil || owner.tokenExpired {
		return refuse(190, "Error validating access token: the token is invalid or has expired")
	}
	if len(owner.Scopes) > 0 && scope != "" && !slices.Contains(owner.Scopes, scope) {
		return refuse(200, "(#200) You do not have the necessary permission: %s", scope)
	}
	proof := q.URL.Query().Get("appsecret_proof")
	if proof == "" && !m.cfg.RequireProof {
		return nil
	}
	mac := hmac.New(sha256.New, []byte(owner.AppSecret))
	mac.Write([]byte(token))
	if !hmac.Equal([]byte(proof), []byte(hex.EncodeToString(mac.Sum(nil)))) {
		return refuse(100, "Invalid appsecret_proof provided in the API argument")
	}
	return nil
}

// decodeBody reads a JSON object into v; wrong types are code 100, as Meta's schema check does it.
func decodeBody(q *graphRequest, v any) *graphError {
	ct := q.Header.Get("Content-Type")
	if ct != "" && !strings.HasPrefix(ct, "application/json") {
		return refuse(100, "Content-Type %q is not application/json", ct)
	}
	err := json.Unmarshal(q.body, v)
	var te *json.UnmarshalTypeError
	switch {
	case errors.As(err, &te):
		return refuse(100, "Param %s must be %s, got %s", te.Field, te.Type, te.Value)
	case err != nil:
		return refuse(100, "The request body is not valid JSON")
	}
	return nil
}

func checkProduct(product string) *graphError {
	if product != "whatsapp" {
		return refuse(100, "The parameter messaging_product is required and must be \"whatsapp\"")
	}
	return nil
}
