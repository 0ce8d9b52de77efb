package recorder

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"deskbridge/media"
)

// Info is what a recording is about. Call is required; the rest is sealed into the file's first record.
type Info struct {
	Call     string `json:"call"` // also the file's name: letters, digits, '.', '_' and '-', at most 128
	Line     string `json:"line,omitempty"`
	Team     string `json:"team,omitempty"`
	Agent    string `json:"agent,omitempty"`
	Customer string `json:"customer,omitempty"` // our ID, never a number
}

const (
	maxInfo     = 1800    // bytes of an Info as JSON
	entryHead   = 2       // length of the payload that follows
	markReserve = 2 << 10 // bytes of the ring that audio may not use: marks are never lost to it
)

// Recording is one call's recording. Received and Sent are the media path's: they copy the packet into this call's own
// bounded buffer under this call's own short lock, and never wait for the disk. Its methods are safe for concurrent use;
// after Close they do nothing.
type Recording struct {
	info  Info
	id    [idSize]byte
	start time.Time // with its monotonic reading: At is measured from it
	wall  time.Time // the same instant in UTC, for the header and the path
	clock func() time.Time
	head  []byte // the header as it goes to the file
	key   []byte // the file key; forgotten once the file is open

	mu        sync.Mutex // held for one copy, or one exchange of buffers
	buf       []byte     // entries in order; the writer exchanges it for an empty one of the same size
	paused    bool
	closed    bool
	full      bool // until the next exchange: a gap is in one piece
	resumedAt time.Time
	lost      [2]uint32
	lostSince uint64
	endAt     uint64
	reason    EndReason

	// tape, begun by the clerk, is the writer's once ready is set, and the clerk's again after the end.
	tape    *tape
	path    string // below the volume
	ready   atomic.Bool
	syncing sync.Mutex // one fdatasync or close at a time
	queued  atomic.Bool
	syncErr atomic.Pointer[error]
	dirty   time.Time // when the oldest byte not yet synced was written; zero: none. The writer's.
	ended   bool      // handed to the clerk. The writer's.
	done    chan struct{}
}

// ID is the recording's own ID in hex.
func (r *Recording) ID() string { return hexID(r.id) }

// Done is closed when the recording is on disk and in the ledger, or given up.
func (r *Recording) Done() <-chan struct{} { return r.done }

// Received takes a packet from the customer as it came (media.Tap).
func (r *Recording) Received(p *media.Packet, c media.Codec) {
	rec := record{kind: typeAudio, flags: flagsOf(Customer, p.Marker), code: codecNumber(c), timestamp: p.Timestamp, sequence: p.Sequence, body: p.Payload}
	r.audio(&rec, p.Arrival)
}

// Sent takes a packet to the customer as it left (media.Tap).
func (r *Recording) Sent(payload []byte, c media.Codec, timestamp uint32, sequence uint16, marker bool, at time.Time) {
	rec := record{kind: typeAudio, flags: flagsOf(Agent, marker), code: codecNumber(c), timestamp: timestamp, sequence: sequence, body: payload}
	r.audio(&rec, at)
}

func flagsOf(s Side, marker bool) uint8 {
	if marker {
		return uint8(s) | markerFlag
	}
	return uint8(s)
}

func (r *Recording) audio(rec *record, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// A packet that came during the pause and was still on its way when it ended belongs to the pause.
	if r.closed || r.paused || at.Before(r.resumedAt) {
		return
	}
	rec.at = r.since(at)
	need := entryHead + padded(len(rec.body))
	if r.full || rec.code == 0 || len(rec.body) > maxPayload || len(r.buf)+need > cap(r.buf)-markReserve {
		r.full = r.full || rec.code != 0 && len(rec.body) <= maxPayload
		if r.lost == [2]uint32{} {
			r.lostSince = rec.at
		}
		r.lost[rec.side()]++
		return
	}
	r.put(rec)
}

// since is at in the file's unit. at without a value is now.
func (r *Recording) since(at time.Time) uint64 {
	if at.IsZero() {
		at = r.clock()
	}
	return microseconds(at.Sub(r.start))
}

// put copies an entry into the buffer, which has room for it.
func (r *Recording) put(rec *record) {
	n := len(r.buf)
	size := padded(len(rec.body))
	r.buf = r.buf[:n+entryHead+size]
	binary.BigEndian.PutUint16(r.buf[n:], uint16(size))
	rec.put(r.buf[n+entryHead:])
}

// Mark notes an event. FramesLost and Ended are the recorder's own and ignored here; Pause and Resume have their methods.
func (r *Recording) Mark(kind MarkKind, at time.Time) {
	if kind == FramesLost || kind == Ended || kind == Paused || kind == Resumed {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mark(kind, at)
}

func (r *Recording) mark(kind MarkKind, at time.Time) {
	rec := record{kind: typeMark, code: uint8(kind), at: r.since(at)}
	if !r.closed && len(r.buf)+entryHead+padded(0) <= cap(r.buf) {
		r.put(&rec)
	}
}

// Pause stops the recording until Resume: audio from here on is not copied anywhere, so no trace of it can be left.
func (r *Recording) Pause(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.paused {
		r.mark(Paused, at)
		r.paused = true
	}
}

// Resume ends a pause. Audio that came before at stays out.
func (r *Recording) Resume(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.paused {
		if at.IsZero() {
			at = r.clock()
		}
		r.mark(Resumed, at)
		r.paused, r.resumedAt = false, at
	}
}

// Close ends the recording at this time. It does not wait for the disk; Done tells.
func (r *Recording) Close(at time.Time) { r.end(CallEnded, at) }

func (r *Recording) end(why EndReason, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed, r.reason, r.endAt = true, why, r.since(at)
	}
}

// drained is what the writer takes from a recording at once.
type drained struct {
	buf       []byte
	lost      [2]uint32
	lostSince uint64
	closed    bool
	endAt     uint64
	reason    EndReason
}

// exchange gives the writer what was gathered and takes an empty buffer in return.
func (r *Recording) exchange(empty []byte) drained {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := drained{r.buf, r.lost, r.lostSince, r.closed, r.endAt, r.reason}
	r.buf, r.lost, r.full = empty[:0], [2]uint32{}, false
	return d
}

// missed counts the packets of a share that will not be written.
func (d *drained) missed() uint64 {
	n := entries(d.buf)
	return n[Customer] + n[Agent] + uint64(d.lost[Customer]) + uint64(d.lost[Agent])
}
