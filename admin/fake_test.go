package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"deskbridge/bridge"
)

// memory is every port of the package, kept in memory.
type memory struct {
	mu      sync.Mutex
	now     func() time.Time
	acc     map[string]AccountRecord
	cred    map[string]CredentialRecord // by kind and secret
	events  []Event
	ended   []CallRecord
	running []CallRecord
	notes   map[string]Note
	queries []CallQuery
	hungUp  []string
	watch   map[chan struct{}]bool
	doc     json.RawMessage
	version uint64
	ready   func() error
	fail    error // of every write
}

func newMemory(now func() time.Time) *memory {
	return &memory{now: now, acc: map[string]AccountRecord{}, cred: map[string]CredentialRecord{}, notes: map[string]Note{}, watch: map[chan struct{}]bool{},
		doc: json.RawMessage(`{"lines":[],"trunks":[],"phones":[]}`), version: 1, ready: func() error { return nil }}
}

func (m *memory) Account(_ context.Context, id string) (AccountRecord, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.acc[id]
	if !ok {
		return a, ErrNotFound
	}
	return a, nil
}

func (m *memory) AccountByLogin(_ context.Context, login string) (AccountRecord, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.acc {
		if a.Login == login {
			return a, nil
		}
	}
	return AccountRecord{}, ErrNotFound
}

func (m *memory) Accounts(context.Context) (list []AccountRecord, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.acc {
		list = append(list, a)
	}
	return list, nil
}

func (m *memory) PutAccount(_ context.Context, a AccountRecord, first bool, e Event) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return 0, m.fail
	}
	if first && len(m.acc) > 0 {
		return 0, ErrTaken
	}
	if m.acc[a.ID].Version != a.Version {
		return 0, ErrConflict
	}
	for _, other := range m.acc {
		if other.Login == a.Login && other.ID != a.ID {
			return 0, ErrTaken
		}
	}
	a.Version++
	m.acc[a.ID] = a
	m.events = append(m.events, e)
	return a.Version, nil
}

func (m *memory) DropAccount(_ context.Context, id string, version uint64, e Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.acc[id].Version != version {
		return ErrConflict
	}
	delete(m.acc, id)
	m.drop(func(c CredentialRecord) bool { return c.User == id })
	m.events = append(m.events, e)
	return nil
}

func (m *memory) drop(which func(CredentialRecord) bool) (n int) {
	for k, c := range m.cred {
		if which(c) {
			delete(m.cred, k)
			n++
		}
	}
	return n
}

func credKey(k CredentialKind, secret string) string { return fmt.Sprint(k, " ", secret) }

func (m *memory) note(e *Event) {
	if e != nil {
		m.events = append(m.events, *e)
	}
}

func (m *memory) PutCredential(_ context.Context, secret string, c CredentialRecord, e *Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cred[credKey(c.Kind, secret)] = c
	m.note(e)
	return nil
}

func (m *memory) RenewCredential(_ context.Context, secret string, c CredentialRecord) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.cred[credKey(c.Kind, secret)]; !ok {
		return ErrNotFound
	}
	m.cred[credKey(c.Kind, secret)] = c
	return nil
}

func (m *memory) Credential(_ context.Context, k CredentialKind, secret string) (CredentialRecord, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.cred[credKey(k, secret)]
	if !ok || !c.Expires.IsZero() && !m.now().Before(c.Expires) {
		return c, ErrNotFound
	}
	return c, nil
}

func (m *memory) Credentials(_ context.Context, k CredentialKind, user string) (list []CredentialRecord, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.cred {
		if c.Kind == k && (user == "" || c.User == user) {
			list = append(list, c)
		}
	}
	return list, nil
}

func (m *memory) DropCredential(_ context.Context, k CredentialKind, id string, e *Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.drop(func(c CredentialRecord) bool { return c.Kind == k && c.ID == id }) == 0 {
		return ErrNotFound
	}
	m.note(e)
	return nil
}

func (m *memory) DropCredentials(_ context.Context, k CredentialKind, user, keep string, e *Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(func(c CredentialRecord) bool { return c.Kind == k && c.User == user && c.ID != keep })
	m.note(e)
	return nil
}

func (m *memory) Record(_ context.Context, e Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.events = append(m.events, e)
	return nil
}

func (m *memory) Events(_ context.Context, before uint64, limit int) (list []Event, next uint64, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.events) - 1; i >= 0; i-- {
		e := m.events[i]
		e.Seq = uint64(i + 1)
		if before > 0 && e.Seq >= before {
			continue
		}
		if len(list) == limit {
			return list, list[limit-1].Seq, nil
		}
		list = append(list, e)
	}
	return list, 0, nil
}

func (m *memory) actions() (list []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		list = append(list, e.Action)
	}
	return list
}

func seenBy(c CallRecord, s Scope) bool {
	return s.All || c.Agent != "" && slices.Contains(s.Targets, c.Agent)
}

func (m *memory) SearchCalls(_ context.Context, q CallQuery) (p CallPage, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if strings.HasPrefix(q.After, "bad") {
		return p, fmt.Errorf("%w: cursor", ErrInvalid)
	}
	m.queries = append(m.queries, q)
	for _, c := range m.ended {
		if seenBy(c, q.Scope) && (q.Targets == nil || seenBy(c, *q.Targets)) {
			p.Calls = append(p.Calls, c)
		}
	}
	return p, nil
}

func (m *memory) CountCalls(ctx context.Context, q CallQuery) (CallCounts, error) {
	p, err := m.SearchCalls(ctx, q)
	return CallCounts{Incoming: len(p.Calls)}, err
}

func (m *memory) Call(_ context.Context, id string, s Scope) (CallRecord, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.ended {
		if c.ID == id && seenBy(c, s) {
			return c, nil
		}
	}
	return CallRecord{}, ErrNotFound
}

func (m *memory) Timeline(_ context.Context, id string) ([]CallFact, *Note, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var note *Note
	if n, ok := m.notes[id]; ok {
		note = &n
	}
	return []CallFact{{Seq: 1, Kind: "call.offered"}}, note, nil
}

func (m *memory) SetNote(_ context.Context, id string, n Note, e Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.notes[id] = n
	m.events = append(m.events, e)
	return nil
}

func (m *memory) Running(s Scope) (list []CallRecord) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.running {
		if seenBy(c, s) {
			list = append(list, c)
		}
	}
	return list
}

func (m *memory) Watch() (<-chan struct{}, func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ch := make(chan struct{}, 1)
	m.watch[ch] = true
	return ch, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watch, ch)
	}
}

func (m *memory) setRunning(list ...CallRecord) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = list
	for ch := range m.watch {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func (m *memory) watchers() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.watch)
}

func (m *memory) Hangup(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hungUp = append(m.hungUp, id)
	return true
}

func (m *memory) Settings() (json.RawMessage, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.doc, m.version, nil
}

func (m *memory) Diff(_ context.Context, doc json.RawMessage) ([]Change, error) {
	if strings.Contains(string(doc), "wrong") {
		return nil, &SettingsError{[]SettingsProblem{{"lines[0].id", "is wrong", "write it right"}}}
	}
	return []Change{{Path: "lines[a].name", Old: "x", New: "y"}}, nil
}

func (m *memory) Replace(ctx context.Context, doc json.RawMessage, version uint64) ([]Change, uint64, error) {
	changes, err := m.Diff(ctx, doc)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case version != m.version:
		return nil, 0, ErrConflict
	case err != nil:
		return nil, 0, err
	}
	m.doc, m.version = doc, version+1
	return changes, m.version, nil
}

func (m *memory) Ready() error { return m.ready() }

func (m *memory) Status() SystemStatus { return SystemStatus{Version: "1", Disk: "fine"} }

func (m *memory) Connections() Connections {
	return Connections{Lines: []LineState{{ID: "main", Name: "Main"}}, Phones: []PhoneState{
		{Extension: "1001", Target: "phone:1001", Places: []Registration{{Address: "192.0.2.1"}}}, {Extension: "1002", Target: "phone:1002"}}}
}

func endedCall(id, agent string) CallRecord {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	return CallRecord{Group: "incoming", Talk: time.Minute, CDR: bridge.CDR{ID: id, Direction: bridge.Inbound, Line: "main", Agent: agent, State: "ended",
		Customer: bridge.Customer{ID: "c", Name: "Sari", Phone: "628123"}, OfferedAt: at, RangAt: at.Add(time.Second), AnsweredAt: at.Add(4 * time.Second), EndedAt: at.Add(64 * time.Second),
		Cause: bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonHangup}}}
}

func runningCall(id, agent string) CallRecord {
	c := endedCall(id, agent)
	c.Group, c.State, c.EndedAt, c.Cause = "running", "talking", time.Time{}, bridge.Cause{}
	return c
}

var errTest = errors.New("the disk said no")
