package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"time"

	"deskbridge/bridge"
)

// CallGroup is how an ended call is filed in the list of calls.
type CallGroup uint8

// The groups. A call that was answered is incoming or outgoing. Missed: nobody of ours took a customer's call, or the
// customer did not take ours (design §6). Canceled: our own call ended before the customer could take it, because the
// agent gave up, a rule forbade it or something failed.
const (
	GroupIncoming CallGroup = iota + 1
	GroupOutgoing
	GroupMissed
	GroupCanceled
)

// GroupOf files an ended call.
func GroupOf(c *bridge.CDR) CallGroup {
	in := c.Direction == bridge.Inbound
	switch {
	case !c.AnsweredAt.IsZero() && in:
		return GroupIncoming
	case !c.AnsweredAt.IsZero():
		return GroupOutgoing
	case in:
		return GroupMissed
	}
	switch c.Cause.Reason {
	case bridge.ReasonDeclined, bridge.ReasonNoAnswer, bridge.ReasonBusy:
		return GroupMissed
	}
	return GroupCanceled
}

// TalkTime is how long the two talked: 0 for a call that was not answered or has not ended.
func TalkTime(c *bridge.CDR) time.Duration {
	if c.AnsweredAt.IsZero() || c.EndedAt.Before(c.AnsweredAt) {
		return 0
	}
	return c.EndedAt.Sub(c.AnsweredAt)
}

// Rang are the targets ("phone:1001", "trunk:pbx/200") at which an inbound call that nobody took has rung.
func Rang(c *bridge.CDR) (targets []string) {
	if c.Direction != bridge.Inbound || c.Agent != "" {
		return nil
	}
	for _, l := range c.Legs {
		if l.Kind != bridge.KindSIP || l.Peer == "" || len(targets) == maxRang {
			continue
		}
		// A phone's leg has its extension as peer and dials nothing else; a trunk's leg has the number dialled over it.
		t := "trunk:" + l.Peer + "/" + l.Remote
		if l.Remote == "" || l.Remote == l.Peer {
			t = "phone:" + l.Peer
		}
		targets = append(targets, t)
	}
	return targets
}

const maxRang = 16

// The indexes of ended calls. A closed record is final, so each call is filed once and never moved.
//
//	J + sort + dimension + hash(value) + sort key + call → row        sort: t (offered at) or d (talk time)
//	I + dimension + hash(value) + day → number of calls in each group day: days since 1970, UTC
//
// A row holds what the other filters need, so that a call that does not match costs no look-up. Everything in it is a
// number or a hash of an ID: nothing personal, it stays after an erasure. Hashes may collide: the record itself decides.
const (
	sortTime = 't'
	sortTalk = 'd'

	dimAll      = 'a'
	dimLine     = 'l'
	dimAgent    = 'g'
	dimRang     = 'r'
	dimReason   = 'e'
	dimCustomer = 'c'
	dimPair     = 'p' // counters only: line and agent
)

// prefixLen is the length of table, sort, dimension and hash.
const prefixLen = 3 + 8

type callRow struct {
	group    CallGroup
	at       uint64 // sort form of the time it was offered
	talk     uint32 // ms
	line     uint64
	agent    uint64
	reason   uint64
	customer uint64
	rang     []uint64
}

// hash64 is an index's form of a value.
func hash64(values ...string) uint64 {
	h := fnv.New64a()
	for _, v := range values {
		_, _ = io.WriteString(h, v)
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}

// sortableTime orders like the time: the sign bit is flipped, as in timeKey.
func sortableTime(at time.Time) uint64 {
	var ns int64
	if !at.IsZero() {
		ns = at.UnixNano()
	}
	return uint64(ns) ^ (1 << 63)
}

func timeOf(sortable uint64) time.Time { return time.Unix(0, int64(sortable^(1<<63))).UTC() }

func millis(d time.Duration) uint32 {
	return uint32(min(max(d.Milliseconds(), 0), math.MaxUint32))
}

func rowOf(c *bridge.CDR) callRow {
	r := callRow{group: GroupOf(c), at: sortableTime(c.OfferedAt), talk: millis(TalkTime(c)), line: hash64(c.Line),
		agent: hash64(c.Agent), reason: hash64(string(c.Cause.Reason)), customer: hash64(c.Customer.ID)}
	for _, t := range Rang(c) {
		r.rang = append(r.rang, hash64(t))
	}
	return r
}

const rowFixed = 1 + 8 + 4 + 4*8

func (r callRow) encode() []byte {
	b := make([]byte, 0, rowFixed+8*len(r.rang))
	b = append(b, byte(r.group))
	b = binary.BigEndian.AppendUint64(b, r.at)
	b = binary.BigEndian.AppendUint32(b, r.talk)
	for _, n := range []uint64{r.line, r.agent, r.reason, r.customer} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	for _, n := range r.rang {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// decode reads b into r, whose rang is reused.
func (r *callRow) decode(b []byte) error {
	if len(b) < rowFixed || (len(b)-rowFixed)%8 != 0 {
		return fmt.Errorf("%w: row of the call index", ErrCorrupt)
	}
	r.group, r.at, r.talk = CallGroup(b[0]), binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint32(b[9:])
	b = b[13:]
	r.line, r.agent, r.reason, r.customer = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:])
	r.rang = r.rang[:0]
	for b = b[32:]; len(b) > 0; b = b[8:] {
		r.rang = append(r.rang, binary.BigEndian.Uint64(b))
	}
	return nil
}

// sortedPrefix is the part of an index key in front of the sort key.
func sortedPrefix(sort, dim byte, hash uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{tabSorted, sort, dim}, hash)
}

// position is where a call stands in an order: its sort key and ID.
func (r callRow) position(sort byte, call string) string {
	n := r.at
	if sort == sortTalk {
		n = uint64(r.talk)
	}
	return string(binary.BigEndian.AppendUint64(nil, n)) + call
}

// indexCall files a call whose record was just closed.
func (t *tx) indexCall(c *bridge.CDR) error {
	r := rowOf(c)
	value := r.encode()
	dims := []dimension{{dimAll, 0}, {dimLine, r.line}, {dimReason, r.reason}}
	if c.Agent != "" {
		dims = append(dims, dimension{dimAgent, r.agent})
	}
	for _, n := range r.rang {
		dims = append(dims, dimension{dimRang, n})
	}
	if c.Customer.ID != "" {
		dims = append(dims, dimension{dimCustomer, r.customer})
	}
	for _, sort := range []byte{sortTime, sortTalk} {
		for _, d := range dims {
			if err := t.set(append(sortedPrefix(sort, d.dim, d.hash), r.position(sort, c.ID)...), value); err != nil {
				return err
			}
		}
	}
	counted := []dimension{{dimAll, 0}, {dimLine, r.line}, {dimAgent, r.agent}, {dimPair, pairHash(r.line, r.agent)}}
	for _, d := range counted {
		if err := t.count(d, c.OfferedAt, r.group); err != nil {
			return err
		}
	}
	return nil
}

type dimension struct {
	dim  byte
	hash uint64
}

func pairHash(line, agent uint64) uint64 {
	return hash64(string(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, line), agent)))
}

func countPrefix(d dimension) []byte {
	return binary.BigEndian.AppendUint64([]byte{tabCount, d.dim}, d.hash)
}

// dayOf is the number of the UTC day; days before 1970 count as the first.
func dayOf(at time.Time) uint32 {
	if at.Unix() < 0 {
		return 0
	}
	return uint32(at.Unix() / 86400)
}

// GroupCounts are the numbers of calls in each group.
type GroupCounts struct {
	Incoming, Outgoing, Missed, Canceled int
}

func (g *GroupCounts) add(group CallGroup, n int) {
	switch group {
	case GroupIncoming:
		g.Incoming += n
	case GroupOutgoing:
		g.Outgoing += n
	case GroupMissed:
		g.Missed += n
	case GroupCanceled:
		g.Canceled += n
	}
}

func (g GroupCounts) encode() []byte {
	var b []byte
	for _, n := range []int{g.Incoming, g.Outgoing, g.Missed, g.Canceled} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

func (g *GroupCounts) decode(b []byte) error {
	for group := GroupIncoming; group <= GroupCanceled; group++ {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > math.MaxInt32 {
			return fmt.Errorf("%w: counter of calls", ErrCorrupt)
		}
		g.add(group, int(n))
		b = b[w:]
	}
	return nil
}

func (t *tx) count(d dimension, at time.Time, group CallGroup) error {
	k := binary.BigEndian.AppendUint32(countPrefix(d), dayOf(at))
	var g GroupCounts
	b, err := t.get(k)
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return err
	default:
		if err := g.decode(b); err != nil {
			return err
		}
	}
	g.add(group, 1)
	return t.set(k, g.encode())
}

func dayStart(day uint32) time.Time { return time.Unix(int64(day)*86400, 0).UTC() }
