package bridge

import (
	"time"

	"deskbridge/media"
)

// MarkKind names a moment in a recording.
type MarkKind string

// The marks a call makes. Pause and resume are the recording's own.
const (
	MarkHold     MarkKind = "hold"
	MarkResumed  MarkKind = "resumed"
	MarkTransfer MarkKind = "transfer"
	MarkConsent  MarkKind = "consent" // the announcement was played to its end and not refused
)

// RecordingInfo is what a recording is of.
type RecordingInfo struct {
	Call      string
	Line      string
	Direction Direction
	Agent     string
	Customer  string // customer ID
}

// Recording takes what crosses the customer's leg. No method blocks: what cannot be kept is dropped, counted and marked.
type Recording interface {
	media.Tap
	ID() string
	Mark(kind MarkKind, at time.Time)
	// Pause leaves no trace of what is said until Resume. More than once is harmless.
	Pause(at time.Time)
	Resume(at time.Time)
	Close(at time.Time)
}

// Recorder begins recordings. An error means that this call is not recorded; the call goes on.
type Recorder interface {
	Record(info RecordingInfo) (Recording, error)
}

// RecordMode is whether calls are recorded.
type RecordMode string

// The modes.
const (
	RecordNever  RecordMode = "never"
	RecordDemand RecordMode = "demand" // begun by the agent, in the call
	RecordAlways RecordMode = "always"
)

// RecordingPlan says whether a call is recorded, and how the customer is told. The zero plan is never.
type RecordingPlan struct {
	Mode RecordMode
	// Consent is heard by both ends before the first recorded packet; empty: nothing is.
	Consent     []int16
	ConsentRate int
	// Refuse is the key with which the customer, while Consent plays, goes on unrecorded; 0: there is none.
	Refuse media.Digit
	// Toggle are the keys with which the agent begins, pauses and resumes the recording; empty: there are none.
	Toggle string
}
