package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"deskbridge/bridge"
	"deskbridge/policy"
)

// office is what the appliance does with customers, callbacks, agents, lines and recordings, in memory. A customer may be seen by who
// sees an ended call with them or has a callback of theirs.
type office struct {
	*memory
	mu        sync.Mutex
	records   []Recording
	sound     string
	opened    []string // "played ogg by USER"
	peaks     *Peaks
	toggled   []string
	decisions map[string]KeptDecision
	lines     []CustomerLine
	entries   []TimelineEntry
	orders    []DeskOrder
	done      []string // "blocked c by user:x"
	denies    string   // the rule by which calls are refused
	callbacks []CallbackRecord
	away      map[string]bool
	override  *LineOverride
}

func newOffice(m *memory) *office {
	return &office{memory: m, sound: "0123456789", decisions: map[string]KeptDecision{}, away: map[string]bool{}}
}

func (o *office) RecordingsOf(_ context.Context, call string) (list []Recording, _ error) {
	for _, r := range o.records {
		if r.Call == call {
			list = append(list, r)
		}
	}
	return list, nil
}

func (o *office) recording(id string) (Recording, error) {
	for _, r := range o.records {
		if r.ID == id {
			return r, nil
		}
	}
	return Recording{}, ErrNotFound
}

func (o *office) RecordingCall(_ context.Context, id string) (string, error) {
	r, err := o.recording(id)
	return r.Call, err
}

type soundFile struct{ *strings.Reader }

func (soundFile) Close() error { return nil }

func (o *office) OpenRecording(_ context.Context, id, format string, download bool, by, _ string) (*Sound, error) {
	r, err := o.recording(id)
	if err != nil {
		return nil, err
	}
	if r.State == "deleted" {
		return nil, fmt.Errorf("%w: it is deleted (retention)", ErrGone)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.opened = append(o.opened, fmt.Sprint(format, " ", download, " ", by))
	return &Sound{ReadSeekCloser: soundFile{strings.NewReader(o.sound)}, ContentType: "audio/ogg", Name: "call.ogg", ETag: `"r-10"`, Modified: r.Started}, nil
}

func (o *office) RecordingPeaks(_ context.Context, id string) (Peaks, bool, error) {
	if _, err := o.recording(id); err != nil || o.peaks == nil {
		return Peaks{}, false, err
	}
	return *o.peaks, true, nil
}

func (o *office) ToggleRecording(call string) bool {
	o.toggled = append(o.toggled, call)
	return true
}

func (o *office) Customer(_ context.Context, id string, s Scope) (bridge.Customer, error) {
	for _, c := range o.ended {
		if c.Customer.ID == id && seenBy(c, s) {
			return c.Customer, nil
		}
	}
	for _, c := range o.callbacks {
		if c.Customer.ID == id && slices.Contains(s.Targets, c.Owner) {
			return c.Customer, nil
		}
	}
	return bridge.Customer{}, ErrNotFound
}

func (o *office) CustomerLines(context.Context, string) ([]CustomerLine, error) { return o.lines, nil }

func (o *office) CustomerTimeline(_ context.Context, q TimelineQuery) (list []TimelineEntry, next time.Time, _ error) {
	for _, e := range o.entries {
		if !q.Before.IsZero() && !e.At.Before(q.Before) {
			continue
		}
		if len(list) == q.Limit {
			return list, list[len(list)-1].At, nil
		}
		list = append(list, e)
	}
	return list, next, nil
}

func (o *office) send(d DeskOrder) (DeskSent, error) {
	if d.Line == "none" {
		return DeskSent{}, fmt.Errorf("%w: there is no line %q", ErrInvalid, d.Line)
	}
	if d.Line == "down" {
		return DeskSent{}, fmt.Errorf("ask: %w: it cannot be reached", ErrUpstream)
	}
	o.orders = append(o.orders, d)
	if o.denies != "" {
		return DeskSent{Decision: policy.Decision{Rule: o.denies}}, nil
	}
	return DeskSent{Sent: true, Decision: policy.Decision{Allowed: true, Rule: "allowed"}, Message: &MessageRecord{ID: "m1", Line: d.Line, Out: true, Text: d.Text, By: d.By}}, nil
}

func (o *office) Ask(_ context.Context, d DeskOrder) (DeskSent, error)         { return o.send(d) }
func (o *office) SendButton(_ context.Context, d DeskOrder) (DeskSent, error)  { return o.send(d) }
func (o *office) SendMessage(_ context.Context, d DeskOrder) (DeskSent, error) { return o.send(d) }

func (o *office) CallCustomer(_ context.Context, line, customer, target string) (string, policy.Decision, error) {
	if o.denies != "" {
		return "", policy.Decision{Rule: o.denies, Sentence: "The customer has not allowed calls."}, nil
	}
	o.done = append(o.done, "called "+customer+" over "+line+" from "+target)
	return "call9", policy.Decision{Allowed: true}, nil
}

func (o *office) Block(_ context.Context, customer, by, reason string) error {
	o.done = append(o.done, "blocked "+customer+" by "+by+": "+reason)
	return nil
}

func (o *office) Unblock(_ context.Context, customer, by, _ string) error {
	o.done = append(o.done, "unblocked "+customer+" by "+by)
	return nil
}

func (o *office) Override(_ context.Context, line, customer, by, _ string, _ time.Time) (policy.Decision, error) {
	o.done = append(o.done, "lifted "+customer+" on "+line+" by "+by)
	return policy.Decision{Allowed: true, Override: true}, nil
}

func (o *office) Decision(_ context.Context, call string) (KeptDecision, error) {
	d, ok := o.decisions[call]
	if !ok {
		return d, ErrNotFound
	}
	return d, nil
}

func (o *office) Callbacks(_ context.Context, live bool, _ string, _ int) (list []CallbackRecord, _ string, _ error) {
	for _, c := range o.callbacks {
		if !live || c.State == "open" || c.State == "assigned" {
			list = append(list, c)
		}
	}
	return list, "", nil
}

func (o *office) Callback(_ context.Context, id string) (CallbackRecord, error) {
	for _, c := range o.callbacks {
		if c.ID == id {
			return c, nil
		}
	}
	return CallbackRecord{}, ErrNotFound
}

func (o *office) UpdateCallback(_ context.Context, n CallbackRecord) (CallbackRecord, error) {
	for i, c := range o.callbacks {
		switch {
		case c.ID != n.ID:
		case c.Version != n.Version:
			return c, ErrConflict
		default:
			n.Version++
			if n.State == "open" && n.Owner != "" {
				n.State = "assigned"
			}
			o.callbacks[i] = n
			return n, nil
		}
	}
	return CallbackRecord{}, ErrNotFound
}

func (o *office) Agents(context.Context) ([]AgentState, error) {
	return []AgentState{{Target: "phone:1001", Available: !o.away["phone:1001"]}, {Target: "phone:1002", Available: !o.away["phone:1002"]}}, nil
}

func (o *office) SetAvailable(_ context.Context, target string, available bool, _ string) error {
	o.away[target] = !available
	return nil
}

func (o *office) known(line string) error {
	if line != "main" {
		return ErrNotFound
	}
	return nil
}

func (o *office) LineDetails(context.Context) ([]LineDetail, error) {
	return []LineDetail{{ID: "main", Name: "Main", Enabled: true, Restrictions: []LineRestriction{}, Meta: LineAtMeta{Differences: []LineDifference{}}, Override: o.override}}, nil
}

func (o *office) ApplyLine(_ context.Context, line string) (LineAtMeta, error) {
	return LineAtMeta{Differences: []LineDifference{}}, o.known(line)
}

func (o *office) AdoptLine(_ context.Context, line string) ([]Change, error) {
	return []Change{{Path: "lines[main].meta.calling", Old: "enabled", New: "disabled"}}, o.known(line)
}

func (o *office) OverrideLine(_ context.Context, line string, v *LineOverride) error {
	o.override = v
	return o.known(line)
}

func (o *office) Templates(_ context.Context, line string) ([]Template, error) {
	return []Template{{Name: "ask", Kind: "permission", Parameters: []string{}}}, o.known(line)
}

func (o *office) CreateTemplate(_ context.Context, line string, t Template, examples []string) (Template, error) {
	t.Status, t.Parameters = "PENDING", examples
	return t, o.known(line)
}

func (o *office) DeleteTemplate(_ context.Context, line, _ string) error { return o.known(line) }
