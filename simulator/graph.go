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
	"maps"
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
	scopeMessaging = "whatsapp_business_messaging"
	scopeManage    = "whatsapp_business_management"
)

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
	id     string // the object of the path
	action string
	wacid  string
	// what the log tells besides
	kind           string
	customer       string
	asksPermission bool
	template       string
	messageID      string
	// beforeAnswer runs when the answer is decided and about to be written.
	beforeAnswer func()
}

type answer any

func (m *Meta) serveGraph(w http.ResponseWriter, r *http.Request) {
	start, trace := time.Now(), m.newID("Sim")
	rec := Request{At: start, Virtual: m.clock.Now(), Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery}
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
	f := m.takeFault(q.action, q.kind)
	if !m.latency(r.Context(), f) {
		return
	}
	if gerr == nil && (f == nil || !f.answers() || f.AfterProcessing) {
		if result, gerr = serve(q); gerr == nil && q.beforeAnswer != nil {
			q.beforeAnswer()
		}
	}
	q.tell(&rec)
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

// tell copies what is known of the request into its record.
func (q *graphRequest) tell(r *Request) {
	r.Action, r.Kind, r.Wacid, r.Customer = cut(q.action, 100), cut(q.kind, 100), cut(q.wacid, maxOpaque), cut(q.customer, 150)
	r.AsksPermission, r.Template, r.MessageID = q.asksPermission, q.template, q.messageID
	if q.num != nil {
		r.PhoneNumberID = q.num.PhoneNumberID
	}
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
		q.action, q.kind = "unknown", "unknown"
		return nil, &graphError{code: 100, status: http.StatusNotFound, details: "unknown path; expected /v<N>.0/…"}
	}
	id, edge, _ := strings.Cut(strings.TrimPrefix(q.URL.Path, prefix), "/")
	if id == "debug_token" && edge == "" && q.Method == http.MethodGet {
		q.action, q.kind = "debug_token", "debug_token"
		return m.debugToken, nil
	}
	q.id = id
	token := bearer(q.Request)
	serve, action, scope := m.endpoint(q.Method, id, edge)
	q.action = action
	m.mu.Lock()
	num := m.numberAt(id, token)
	gerr := m.checkToken(q, token, num, scope)
	m.mu.Unlock()
	q.num = num
	m.describe(q)
	switch {
	case gerr != nil:
		return nil, gerr
	case num == nil:
		return nil, refuse(100, "Unsupported %s request. Object with ID '%s' does not exist or cannot be loaded", strings.ToLower(q.Method), id)
	case serve == nil:
		return nil, refuse(100, "Unknown path components: /%s, or method %s not allowed", edge, q.Method)
	}
	return serve, nil
}

// numberAt finds the number a path is about: its own ID, or that of its WABA or of one of the WABA's templates, where the
// token says which number is meant. m.mu is held.
func (m *Meta) numberAt(id, token string) *number {
	if n := m.numbers[id]; n != nil {
		return n
	}
	waba := id
	if t := m.templateByID(id); t != nil {
		waba = t.WABA
	}
	for _, pnid := range slices.Sorted(maps.Keys(m.numbers)) {
		if n := m.numbers[pnid]; n.WABA == waba && n.Token == token {
			return n
		}
	}
	return nil
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
	case "GET message_templates":
		return m.listTemplates, "templates", scopeManage
	case "POST message_templates":
		return m.createTemplate, "templates", scopeManage
	case "DELETE message_templates":
		return m.deleteTemplates, "templates", scopeManage
	case "POST ":
		return m.editTemplate, "templates", scopeManage
	case "GET ":
		return m.serveNode, "number", scopeManage
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
