package simulator

import (
	"time"
)

// Match picks the requests a fault hits. Action is a call action ("connect", "pre_accept", "accept", "reject",
// "terminate"), an endpoint ("call_permissions", "settings", "messages", "templates", "debug_token", "number") or a Kind of
// the request log ("message:permission_request"); empty means any.
type Match struct {
	Action string
	Count  int // how many requests; 0 means one, negative means all until ClearFaults
	Skip   int // let this many pass first
}

// Fault is what happens to a matched request.
type Fault struct {
	Status     int // HTTP status, with Code in the error body
	Code       int // Graph error code; 0 with Status ≥ 500 gives 131000, with 429 gives 80007
	RetryAfter time.Duration
	Delay      time.Duration // answer late
	Garbage    bool          // 200 with a body that is not JSON
	// AfterProcessing performs the request first; the client sees the fault although it took effect.
	AfterProcessing bool
	// Drop closes the connection without an answer (together with AfterProcessing: a timeout whose request took effect).
	Drop bool
	// Hang never answers, until the client goes away.
	Hang bool
}

type fault struct {
	Match
	Fault
}

// Fail makes the next matching requests fail.
func (m *Meta) Fail(match Match, f Fault) {
	if match.Count == 0 {
		match.Count = 1
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, &fault{match, f})
}

// ClearFaults lets everything work again.
func (m *Meta) ClearFaults() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = nil
}

func (m *Meta) takeFault(action, kind string) *Fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.faults {
		if f.Count == 0 || (f.Action != "" && f.Action != action && f.Action != kind) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Count > 0 {
			f.Count--
		}
		hit := f.Fault
		return &hit
	}
	return nil
}

// ExpireToken makes the number's token invalid (190) until RestoreToken.
func (m *Meta) ExpireToken(phoneNumberID string) { m.setExpired(phoneNumberID, true) }

// RestoreToken makes the number's token valid again.
func (m *Meta) RestoreToken(phoneNumberID string) { m.setExpired(phoneNumberID, false) }

func (m *Meta) setExpired(phoneNumberID string, expired bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.numbers[phoneNumberID]; n != nil {
		n.tokenExpired = expired
	}
}

func (f *Fault) err() *graphError {
	code, status := f.Code, f.Status
	switch {
	case code != 0:
	case status == 429:
		code = 80007
	case status == 401:
		code = 190
	default:
		code = 131000
	}
	if status == 0 && f.Code == 0 {
		status = 500
	}
	return &graphError{code: code, status: status, details: "injected fault", retryAfter: f.RetryAfter}
}

// answers says whether the fault replaces the answer (a Fault with only a Delay does not).
func (f *Fault) answers() bool {
	return f.Status != 0 || f.Code != 0 || f.Garbage || f.Drop || f.Hang
}
