package recorder

import (
	"time"

	"deskbridge/media"
)

// Side is who was heard.
type Side uint8

// The two sides of a recording.
const (
	Customer Side = iota // what the customer said: received from Meta
	Agent                // what we sent to the customer
)

// String is the side's name for reports and labels.
func (s Side) String() string {
	if s == Agent {
		return "agent"
	}
	return "customer"
}

// Packet is one audio packet of a recording as a Reader gives it. Payload is valid until the next call.
type Packet struct {
	Side      Side
	At        time.Duration // arrival (Customer) or departure (Agent), since the recording's start, monotonic
	Codec     media.Codec   // media.Opus, or media.PCMA / media.PCMU (Meta's G.711 fall-back)
	Timestamp uint32        // the sender's RTP timestamp
	Sequence  uint16        // the sender's RTP sequence number
	Marker    bool
	Payload   []byte
}

// Source yields a recording's packets in file order (by time, at most a few packets out of order between sides); io.EOF
// ends it. An unfinished file ends with io.EOF too. Damaged packets are skipped and counted by the reader.
type Source interface{ Next(p *Packet) error }
