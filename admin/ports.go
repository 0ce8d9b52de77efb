package admin

import (
	"context"
	"encoding/json"
	"time"

	"deskbridge/bridge"
)

// AccountRecord is an account as it is kept. Doc holds secrets: it must be sealed.
type AccountRecord struct {
	ID, Login string
	Version   uint64 // 0: new
	Doc       []byte
}

// AccountStore keeps accounts. A write and its audit event are one: both are kept or neither.
type AccountStore interface {
	Account(ctx context.Context, id string) (AccountRecord, error)
	AccountByLogin(ctx context.Context, login string) (AccountRecord, error)
	Accounts(ctx context.Context) ([]AccountRecord, error)
	// PutAccount fails with ErrConflict when the version is not a.Version, ErrTaken when the login is another's or when first is
	// set and there is an account already.
	PutAccount(ctx context.Context, a AccountRecord, first bool, e Event) (version uint64, err error)
	DropAccount(ctx context.Context, id string, version uint64, e Event) error
}

// CredentialKind tells sessions and API tokens apart.
type CredentialKind int

// The kinds of credential.
const (
	SessionKind CredentialKind = iota + 1
	TokenKind
)

// CredentialRecord is a session or an API token as it is kept, without the secret that proves it.
type CredentialRecord struct {
	Kind    CredentialKind
	ID      string
	User    string
	Expires time.Time // zero: never
	Doc     []byte
}

// CredentialStore keeps sessions and API tokens under a keyed hash of their secret. A nil event is not recorded.
type CredentialStore interface {
	PutCredential(ctx context.Context, secret string, c CredentialRecord, e *Event) error
	// RenewCredential is for a use noted now and then; ErrNotFound when it was ended meanwhile.
	RenewCredential(ctx context.Context, secret string, c CredentialRecord) error
	Credential(ctx context.Context, kind CredentialKind, secret string) (CredentialRecord, error)
	Credentials(ctx context.Context, kind CredentialKind, user string) ([]CredentialRecord, error)
	DropCredential(ctx context.Context, kind CredentialKind, id string, e *Event) error
	// DropCredentials ends all of a user's but keep.
	DropCredentials(ctx context.Context, kind CredentialKind, user, keep string, e *Event) error
}

// Event is one entry of the audit log. It is kept sealed.
type Event struct {
	Seq     uint64          `json:"seq"`
	At      time.Time       `json:"at"`
	Action  string          `json:"action" doc:"What was done, such as user.changed or session.started."`
	ActorID string          `json:"actor_id,omitempty"`
	Actor   string          `json:"actor,omitempty" doc:"Login, or 'control socket'."`
	Via     string          `json:"via,omitempty" doc:"ID of the API token, when one was used."`
	Address string          `json:"address,omitempty" doc:"Where from."`
	Object  string          `json:"object,omitempty" doc:"What it was done to, such as user:ID, call:ID or settings."`
	Before  json.RawMessage `json:"before,omitempty"`
	After   json.RawMessage `json:"after,omitempty"`
}

// AuditLog keeps what was done.
type AuditLog interface {
	Record(ctx context.Context, e Event) error
	// Events are the newest first, from before the sequence before (0: from the newest); next is 0 at the end.
	Events(ctx context.Context, before uint64, limit int) (list []Event, next uint64, err error)
}

// Scope is whose calls somebody sees.
type Scope struct {
	All     bool
	Targets []string // phones and trunk numbers, "phone:1001"
	Rang    bool     // also calls nobody took that rang at the targets
}

// CallQuery selects ended calls. Zero values don't filter.
type CallQuery struct {
	Scope Scope
	// Targets narrows the scope further; nil: no.
	Targets     *Scope
	Text        string
	TextTargets []string // targets the text means too
	Group       string
	Line        string
	Reason      string
	From, To    time.Time
	MinTalk     time.Duration
	MaxTalk     time.Duration
	Sort        string // newest, oldest, longest, shortest
	After       string
	Limit       int
}

// CallPage is a page of calls.
type CallPage struct {
	Calls []CallRecord
	Next  string // empty on the last page
}

// CallRecord is a call with the group it is filed in: incoming, outgoing, missed, canceled, or running.
type CallRecord struct {
	bridge.CDR
	Group string
	Talk  time.Duration
}

// CallCounts are the numbers of calls by group.
type CallCounts struct {
	Incoming int  `json:"incoming"`
	Outgoing int  `json:"outgoing"`
	Missed   int  `json:"missed"`
	Canceled int  `json:"canceled"`
	AtLeast  bool `json:"at_least" doc:"Counting stopped early: there are more."`
}

// CallFact is one entry of a call's timeline.
type CallFact struct {
	Seq   uint64    `json:"seq"`
	Kind  string    `json:"kind" doc:"call.offered, call.allowed, call.refused, call.dialled, call.rung, call.picked, call.answered, call.held, call.resumed, call.ended, note.changed"`
	At    time.Time `json:"at"`
	State string    `json:"state,omitempty" doc:"The call's state after it."`
	Agent string    `json:"agent,omitempty"`
}

// Note is what people wrote about a call.
type Note struct {
	Text        string    `json:"text" maxLength:"4000"`
	Tags        []string  `json:"tags" maxItems:"16" nullable:"false"`
	Disposition string    `json:"disposition" maxLength:"64" doc:"How the matter ended, a word of the company's choice."`
	By          string    `json:"by,omitempty" readOnly:"true"`
	At          time.Time `json:"at,omitzero" readOnly:"true"`
}

// CallStore is the record of calls. What is outside of a scope is ErrNotFound.
type CallStore interface {
	SearchCalls(ctx context.Context, q CallQuery) (CallPage, error)
	CountCalls(ctx context.Context, q CallQuery) (CallCounts, error)
	Call(ctx context.Context, id string, s Scope) (CallRecord, error)
	Timeline(ctx context.Context, id string) ([]CallFact, *Note, error)
	SetNote(ctx context.Context, id string, n Note, e Event) error
}

// LiveCalls are the calls that are running.
type LiveCalls interface {
	Running(s Scope) []CallRecord
	// Watch's channel gets a value after calls changed (coalesced); stop ends it.
	Watch() (changes <-chan struct{}, stop func())
	Hangup(id string) bool
}

// Change is one option that a settings document changes. Secrets never show.
type Change struct {
	Path string `json:"path" example:"lines[sales].inbound.enabled"`
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

// SettingsError lists what is wrong with a settings document.
type SettingsError struct{ Problems []SettingsProblem }

// SettingsProblem is one of them, with its fix.
type SettingsProblem struct{ Path, Problem, Fix string }

// Error implements error.
func (e *SettingsError) Error() string { return "the settings have problems" }

// SettingsStore is the settings in force. Documents are JSON; secrets appear as "(set)" or their reference.
type SettingsStore interface {
	Settings() (document json.RawMessage, version uint64, err error)
	Diff(ctx context.Context, document json.RawMessage) ([]Change, error)
	// Replace fails with ErrConflict when the version in force is not this one, with *SettingsError when the document is no good.
	Replace(ctx context.Context, document json.RawMessage, version uint64) (changes []Change, now uint64, err error)
}

// SystemStatus is how the appliance is.
type SystemStatus struct {
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Uptime   float64   `json:"uptime_seconds"`
	Ready    bool      `json:"ready"`
	Reason   string    `json:"reason,omitempty" doc:"Why it is not ready."`
	Draining bool      `json:"draining"`
	Calls    int       `json:"calls"`
	MaxCalls int       `json:"max_calls"`
	Disk     string    `json:"disk" enum:"fine,low,tight,full,read-only,stuck"`
	DiskFree int64     `json:"disk_free_bytes"`
	Opus     string    `json:"opus"`
}

// Connections are the lines, trunks and phones with their states.
type Connections struct {
	Lines  []LineState  `json:"lines" nullable:"false"`
	Trunks []TrunkState `json:"trunks" nullable:"false"`
	Phones []PhoneState `json:"phones" nullable:"false"`
}

// LineState is a WhatsApp line.
type LineState struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Number   string `json:"number,omitempty"`
	Enabled  bool   `json:"enabled"`
	Inbound  bool   `json:"inbound"`
	Outbound bool   `json:"outbound"`
}

// TrunkState is a link to a PBX.
type TrunkState struct {
	Name       string    `json:"name"`
	Enabled    bool      `json:"enabled"`
	Up         bool      `json:"up"`
	Registered bool      `json:"registered"`
	RTT        float64   `json:"rtt_ms,omitempty" doc:"Of the last ping."`
	Error      string    `json:"error,omitempty"`
	Since      time.Time `json:"since,omitzero" doc:"Of the last change."`
}

// PhoneState is a telephone that registers with us.
type PhoneState struct {
	Extension string         `json:"extension"`
	Target    string         `json:"target" example:"phone:1001"`
	Name      string         `json:"name,omitempty"`
	Enabled   bool           `json:"enabled"`
	Places    []Registration `json:"places" nullable:"false" doc:"Where it is registered from; empty: it is not."`
}

// Registration is one place a phone is registered from.
type Registration struct {
	Address string    `json:"address"`
	Agent   string    `json:"agent,omitempty"`
	Expires time.Time `json:"expires"`
}

// System says how the appliance is.
type System interface {
	Health
	Status() SystemStatus
	Connections() Connections
}
