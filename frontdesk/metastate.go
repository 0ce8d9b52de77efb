package frontdesk

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"deskbridge/graph"
	"deskbridge/store"
)

// Difference is one setting that is not at Meta as it is wanted.
type Difference struct {
	Field  string `json:"field"`
	Wanted string `json:"wanted"`
	Actual string `json:"actual"`
	// Fix is set where only a person can put it right.
	Fix string `json:"fix,omitempty"`
}

// MetaState is a line's settings at Meta beside what is wanted of them.
type MetaState struct {
	At          time.Time      `json:"at"`              // when Meta was asked
	Error       string         `json:"error,omitempty"` // what failed last; what follows is older then
	Actual      graph.Settings `json:"actual"`
	Differences []Difference   `json:"differences,omitempty"`
	// HoursProblem is why the hours cannot be held by Meta. They are enforced here all the same.
	HoursProblem string    `json:"hours_problem,omitempty"`
	Pushed       time.Time `json:"pushed,omitzero"` // when we last changed them
}

// When Meta is asked about a line. What we want changed ourselves is pushed at once.
const (
	metaEvery = 10 * time.Minute // without a reason
	metaSoon  = 30 * time.Second // after the last time, when a webhook says that something changed
	metaRetry = time.Minute      // after a failure, doubling up to metaEvery
)

// metaStates is what is known of each line's settings at Meta, and when they are looked at next.
type metaStates struct {
	mu sync.Mutex
	by map[string]*metaLine
}

type metaLine struct {
	turn  chan struct{} // held by who asks Meta about the line: one at a time
	state MetaState
	tried string // what was wanted then
	asked time.Time
	next  time.Time
	fails int
}

func (m *metaStates) of(line string) *metaLine {
	if m.by == nil {
		m.by = map[string]*metaLine{}
	}
	if m.by[line] == nil {
		m.by[line] = &metaLine{turn: make(chan struct{}, 1)}
	}
	return m.by[line]
}

// take waits for the turn at a line.
func (m *metaStates) take(ctx context.Context, line string) (release func(), err error) {
	m.mu.Lock()
	turn := m.of(line).turn
	m.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// due says whether a line is to be looked at now, because it is time or because what is wanted of it has changed.
func (m *metaStates) due(line, wanted string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.of(line)
	early := now.Before(l.next) && l.next.Sub(now) <= metaEvery // else the clock was set back
	return !early || l.tried != wanted
}

// done notes how it went.
func (m *metaStates) done(line, wanted string, now time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.of(line)
	l.tried, l.asked = wanted, now
	if err == nil {
		l.fails, l.next = 0, now.Add(metaEvery)
		return
	}
	l.next = now.Add(min(metaRetry<<min(l.fails, 8), metaEvery))
	l.fails++
}

// soon brings the next look forward.
func (m *metaStates) soon(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.of(line)
	if at := l.asked.Add(metaSoon); at.Before(l.next) {
		l.next = at
	}
}

func (m *metaStates) set(line string, st MetaState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(line).state = st
}

// keep forgets the lines that are gone, and says which.
func (m *metaStates) keep(lines map[string]*LineConfig) (gone []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.by {
		if lines[id] == nil {
			delete(m.by, id)
			gone = append(gone, id)
		}
	}
	return gone
}

// MetaState is what is known of a line's settings at Meta; the zero value before Meta was asked.
func (d *Desk) MetaState(line string) MetaState {
	d.meta.mu.Lock()
	defer d.meta.mu.Unlock()
	if l := d.meta.by[line]; l != nil {
		return l.state
	}
	return MetaState{}
}

// pushed is what was wanted of each field when we last saw it at Meta as wanted. It tells our own change of mind, which is pushed,
// from somebody else's change at Meta, which is reported. It is kept with the line's settings, as a member of their JSON that Meta
// does not have, so that a restart does not take other people's changes for ours.
type pushed struct {
	Fields map[string]string `json:"fields"`
	At     time.Time         `json:"at,omitzero"`
}

const pushedMember = "deskbridge"

func pushedOf(st store.LineState) pushed {
	var j map[string]json.RawMessage
	var p pushed
	if json.Unmarshal(st.Settings, &j) == nil {
		_ = json.Unmarshal(j[pushedMember], &p) // absent or not ours: nothing was pushed
	}
	if p.Fields == nil {
		p.Fields = map[string]string{}
	}
	return p
}

// with puts p into Meta's settings.
func (p pushed) with(settings json.RawMessage) (json.RawMessage, error) {
	j := map[string]json.RawMessage{}
	if len(settings) > 0 {
		if err := json.Unmarshal(settings, &j); err != nil {
			return nil, err
		}
	}
	own, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	j[pushedMember] = own
	return json.Marshal(j)
}
