package admin

import (
	"context"
	"io"
	"time"

	"deskbridge/bridge"
	"deskbridge/policy"
)

// Recording is one recording of a call.
type Recording struct {
	ID       string
	Call     string
	State    string // open, finished, lost, deleted
	Started  time.Time
	Duration time.Duration
	Bytes    int64
	Held     bool // under a legal hold
	Marks    []RecordingMark
}

// RecordingMark is something that happened at a moment of a recording.
type RecordingMark struct {
	Kind    string  `json:"kind" example:"paused"`
	Seconds float64 `json:"at_seconds"`
}

// Sound is a recording as a file. Who opened it closes it.
type Sound struct {
	io.ReadSeekCloser
	ContentType string
	Name        string // for the file; letters, digits and . _ - only
	ETag        string
	Modified    time.Time
}

// Peaks are the outline of a recording: how loud each side was, 0 to 255, at regular moments.
type Peaks struct {
	PointsPerSecond int     `json:"points_per_second"`
	Seconds         float64 `json:"seconds"`
	Customer        []byte  `json:"customer"`
	Agent           []byte  `json:"agent"`
}

// RecordingStore is the recordings. It keeps itself who played and downloaded what, before the first byte.
type RecordingStore interface {
	// RecordingsOf are those of a call, the oldest first, also those whose file is gone.
	RecordingsOf(ctx context.Context, call string) ([]Recording, error)
	// RecordingCall is the call of a recording.
	RecordingCall(ctx context.Context, id string) (call string, err error)
	// OpenRecording fails with ErrGone when the file is not here any more. by is the user's ID, from the address.
	OpenRecording(ctx context.Context, id, format string, download bool, by, from string) (*Sound, error)
	// RecordingPeaks is not ready while the outline is being made.
	RecordingPeaks(ctx context.Context, id string) (p Peaks, ready bool, err error)
	// ToggleRecording begins, pauses or resumes the recording of a running call.
	ToggleRecording(call string) bool
}

// KeptDecision is what was decided about a call, with the permission it rested on.
type KeptDecision struct {
	policy.Decision
	Permission policy.PermissionState
	Replayed   bool // the facts kept with it give the same decision again
}

// CustomerLine is how a line stands with a customer.
type CustomerLine struct {
	Line, Name        string
	Permission        policy.PermissionState
	Window            time.Time // until then free text may be sent; zero: not now
	Call, Ask, Button policy.Decision
}

// MessageRecord is a chat message between a line and a customer.
type MessageRecord struct {
	ID, Line         string
	Out              bool
	Kind, Text       string
	Template, Status string
	By               string
	At               time.Time
}

// TimelineQuery selects what happened with a customer, the newest first.
type TimelineQuery struct {
	Customer string
	Scope    Scope     // of the calls
	Line     string    // empty: all
	Before   time.Time // zero: from the newest
	Limit    int
}

// TimelineEntry is one thing that happened: exactly one of the pointers is set.
type TimelineEntry struct {
	At         time.Time
	Call       *CallRecord
	Message    *MessageRecord
	Permission *PermissionEvent
	Callback   *CallbackRecord
}

// PermissionEvent is one word about whether a customer may be called.
type PermissionEvent struct {
	Kind      string    `json:"kind" doc:"permission.requested, permission.request.refused, permission.granted, permission.declined, permission.revoked, permission.override, customer.blocked, customer.unblocked"`
	Line      string    `json:"line"`
	Permanent bool      `json:"permanent,omitempty"`
	Expires   time.Time `json:"expires,omitzero"`
	Automatic bool      `json:"automatic,omitempty" doc:"Nobody asked: WhatsApp did it."`
	Outcome   string    `json:"outcome,omitempty"`
	By        string    `json:"by,omitempty"`
	Reason    string    `json:"reason,omitempty"`
}

// DeskOrder is something to send to a customer. By is "user:LOGIN".
type DeskOrder struct {
	Line, Customer, By string
	Text               string // empty: the line's own words
	Template           string // sent instead of free text
	Language           string
	Parameters         []string
}

// DeskSent is what came of it: refused (the decision is not allowed), failed (Problem), or sent.
type DeskSent struct {
	Sent     bool
	Decision policy.Decision
	Message  *MessageRecord
	Problem  string
}

// CustomerDesk is what is known of customers and done for them. ErrInvalid: there is no such line; ErrUpstream: WhatsApp cannot be asked.
type CustomerDesk interface {
	// Customer is ErrNotFound for who may not see them: the scope must hold a call with them, or a target of it a callback of theirs.
	Customer(ctx context.Context, id string, s Scope) (bridge.Customer, error)
	CustomerLines(ctx context.Context, id string) ([]CustomerLine, error)
	// CustomerTimeline has a next time to go on before unless it reached the end.
	CustomerTimeline(ctx context.Context, q TimelineQuery) (list []TimelineEntry, next time.Time, err error)
	Ask(ctx context.Context, o DeskOrder) (DeskSent, error)
	SendButton(ctx context.Context, o DeskOrder) (DeskSent, error)
	SendMessage(ctx context.Context, o DeskOrder) (DeskSent, error)
	// CallCustomer rings the target first, then the customer. Nothing rings when the decision does not allow it.
	CallCustomer(ctx context.Context, line, customer, target string) (call string, d policy.Decision, err error)
	Block(ctx context.Context, customer, by, reason string) error
	Unblock(ctx context.Context, customer, by, reason string) error
	// Override lifts the profile's limits of calls until a time. The decision is how things stand then.
	Override(ctx context.Context, line, customer, by, reason string, until time.Time) (policy.Decision, error)
	// Decision is what was decided about a call; ErrNotFound when none is kept.
	Decision(ctx context.Context, call string) (KeptDecision, error)
}

// CallbackRecord is a customer's wish to be called back.
type CallbackRecord struct {
	ID, Line    string
	Customer    bridge.Customer
	Call        string
	Source      string // meta, menu, panel, agent
	RequestedAt time.Time
	Due         time.Time
	Expires     time.Time
	Owner       string // "phone:1001"; empty: nobody yet
	State       string // open, assigned, done, cancelled, expired
	Note        string
	Version     uint64
}

// CallbackDesk is the callbacks. Live ones come with the one due first first, all with the newest first.
type CallbackDesk interface {
	Callbacks(ctx context.Context, live bool, after string, limit int) (list []CallbackRecord, next string, err error)
	Callback(ctx context.Context, id string) (CallbackRecord, error)
	// UpdateCallback changes owner, due, note and state; ErrConflict when the version is another by now, ErrInvalid when it is closed.
	UpdateCallback(ctx context.Context, c CallbackRecord) (CallbackRecord, error)
}

// AgentState is a telephone that customers' calls can ring.
type AgentState struct {
	Target     string    `json:"target" example:"phone:1001"`
	Name       string    `json:"name,omitempty"`
	Available  bool      `json:"available" doc:"Wants to be rung."`
	Since      time.Time `json:"since,omitzero" doc:"Of available, where somebody ever said so."`
	Busy       bool      `json:"busy" doc:"In a call."`
	Registered bool      `json:"registered" doc:"Can be rung: the phone is registered, the trunk is up."`
}

// AgentDesk is who is rung.
type AgentDesk interface {
	Agents(ctx context.Context) ([]AgentState, error)
	// SetAvailable is ErrNotFound for a target there is not.
	SetAvailable(ctx context.Context, target string, available bool, by string) error
}

// LineDetail is a line with what people and Meta did to it.
type LineDetail struct {
	ID           string            `json:"id"`
	Name         string            `json:"name"`
	Enabled      bool              `json:"enabled"`
	Number       string            `json:"number,omitempty"`
	OpenNow      bool              `json:"open_now"`
	NextChange   time.Time         `json:"next_change,omitzero" doc:"When it opens or closes next."`
	Override     *LineOverride     `json:"override,omitempty" doc:"Opened or closed by hand."`
	Restrictions []LineRestriction `json:"restrictions" nullable:"false" doc:"What Meta forbids the line."`
	Quality      string            `json:"quality,omitempty" doc:"Meta's word about it."`
	Meta         LineAtMeta        `json:"meta"`
}

// LineOverride opens or closes a line by hand.
type LineOverride struct {
	Open  bool      `json:"open"`
	Until time.Time `json:"until,omitzero" doc:"Absent: until it is taken back."`
	By    string    `json:"by,omitempty"`
}

// LineRestriction is something Meta forbids a line.
type LineRestriction struct {
	Kind  string    `json:"kind"`
	Until time.Time `json:"until,omitzero"`
}

// LineAtMeta is a line's settings at Meta beside ours.
type LineAtMeta struct {
	At           time.Time        `json:"at,omitzero" doc:"When Meta was asked; absent: not yet."`
	Error        string           `json:"error,omitempty" doc:"What failed last; the rest is older then."`
	Differences  []LineDifference `json:"differences" nullable:"false"`
	HoursProblem string           `json:"hours_problem,omitempty" doc:"Why Meta cannot hold the hours. They are enforced here all the same."`
	Pushed       time.Time        `json:"pushed,omitzero" doc:"When we last changed something there."`
}

// LineDifference is one setting that is not at Meta as it is wanted.
type LineDifference struct {
	Field  string `json:"field"`
	Wanted string `json:"wanted"`
	Actual string `json:"actual"`
	Fix    string `json:"fix,omitempty" doc:"Where only a person can put it right."`
}

// Template is a message template of a line's account.
type Template struct {
	Name       string   `json:"name"`
	Language   string   `json:"language"`
	Status     string   `json:"status" example:"APPROVED"`
	Category   string   `json:"category"`
	Kind       string   `json:"kind" enum:"permission,button,other"`
	Rejected   string   `json:"rejected,omitempty" doc:"Why it was."`
	Quality    string   `json:"quality,omitempty"`
	Header     string   `json:"header,omitempty"`
	Body       string   `json:"body,omitempty"`
	Footer     string   `json:"footer,omitempty"`
	Button     string   `json:"button,omitempty"`
	Parameters []string `json:"parameters" nullable:"false" doc:"The placeholders of the body, in order."`
	TTLHours   float64  `json:"ttl_hours,omitempty" doc:"How long the button can be pressed; absent: seven days."`
}

// LineDesk is what an admin does with lines. A line there is not is ErrNotFound; what Meta refuses is ErrInvalid, what it cannot be asked
// ErrUpstream.
type LineDesk interface {
	LineDetails(ctx context.Context) ([]LineDetail, error)
	// ApplyLine puts our settings of a line in force at Meta, AdoptLine takes Meta's over into ours.
	ApplyLine(ctx context.Context, line string) (LineAtMeta, error)
	AdoptLine(ctx context.Context, line string) ([]Change, error)
	// OverrideLine opens or closes a line by hand; nil takes it back.
	OverrideLine(ctx context.Context, line string, o *LineOverride) error
	Templates(ctx context.Context, line string) ([]Template, error)
	CreateTemplate(ctx context.Context, line string, t Template, examples []string) (Template, error)
	DeleteTemplate(ctx context.Context, line, name string) error
}
