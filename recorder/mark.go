package recorder

import (
	"fmt"
	"time"
)

// MarkKind says what happened at a point of a recording. The numbers are the file format's.
type MarkKind uint8

// The marks of a recording.
const (
	ConsentGiven   MarkKind = 1
	ConsentRefused MarkKind = 2
	Paused         MarkKind = 3
	Resumed        MarkKind = 4
	Held           MarkKind = 5
	Unheld         MarkKind = 6
	Transferred    MarkKind = 7
	Muted          MarkKind = 8
	Unmuted        MarkKind = 9
	DigitsMasked   MarkKind = 10
	FramesLost     MarkKind = 11 // Count packets of Side did not reach the file from At on; written by the recorder only
	Ended          MarkKind = 12 // the last mark of a finished file; Count is the EndReason; written by the recorder only
)

var markNames = map[MarkKind]string{ConsentGiven: "consent given", ConsentRefused: "consent refused", Paused: "paused",
	Resumed: "resumed", Held: "held", Unheld: "unheld", Transferred: "transferred", Muted: "muted", Unmuted: "unmuted",
	DigitsMasked: "digits masked", FramesLost: "frames lost", Ended: "ended"}

// String is the mark's name. Kinds of a later version print their number.
func (k MarkKind) String() string {
	if s, ok := markNames[k]; ok {
		return s
	}
	return fmt.Sprintf("mark %d", uint8(k))
}

// Mark is one event of a recording.
type Mark struct {
	Kind  MarkKind
	At    time.Duration // since the recording's start
	Side  Side          // FramesLost only
	Count uint32        // FramesLost: packets; Ended: the EndReason
}

// EndReason says why a recording ended.
type EndReason uint8

// Why recordings end. The numbers are the file format's.
const (
	CallEnded   EndReason = 0 // Close was called: the recording is whole
	Shutdown    EndReason = 1 // the recorder stopped first
	DiskFull    EndReason = 2 // free space fell below the watermark, or the disk said so
	DiskGone    EndReason = 3 // the recording volume is missing or another one
	DiskFailed  EndReason = 4 // a write failed, or the disk is read-only
	Bug         EndReason = 5 // the recorder's own fault
	Interrupted EndReason = 6 // the process died; found by Recover
)

var endNames = [...]string{"call ended", "shutdown", "disk full", "disk gone", "disk failed", "bug", "interrupted"}

// String is the reason as logs, metrics and the ledger name it.
func (e EndReason) String() string {
	if int(e) < len(endNames) {
		return endNames[e]
	}
	return fmt.Sprintf("reason %d", uint8(e))
}
