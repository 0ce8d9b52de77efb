package media

import "time"

// Packet is one received RTP audio packet, decrypted, its header already read. Payload and the Packet itself belong to
// the caller and are valid only until the call that passes them returns: whoever keeps bytes copies them.
type Packet struct {
	Payload   []byte
	Arrival   time.Time // monotonic arrival time
	Timestamp uint32    // RTP timestamp, in the codec's clock
	Sequence  uint16
	Marker    bool
}

// Sink takes the packets a leg receives. ReceivePacket is called from the leg's one reader goroutine, must not block
// and must not allocate.
type Sink interface {
	ReceivePacket(p *Packet)
}

// Frame is one packet's worth of encoded audio to send. The stream that sends it owns SSRC, payload type, sequence
// numbers and timestamps: a leg has one continuous line for its whole life, whoever it is talking to.
type Frame struct {
	Payload []byte // valid only during SendFrame
	Ticks   uint32 // duration in the codec's RTP clock
	// Lost counts frames of the same duration known to be missing just before this one (passed on as a gap in sequence
	// and timestamp, so that the far decoder can use its own loss concealment). Zero when gaps were filled.
	Lost uint16
	// Concealed marks a frame made up for a lost one (FEC or PLC). It is not sent if filler already took its place.
	Concealed bool
	Marker    bool
}

// Stream is the audio of one leg as the other side of the call sees it. Methods are safe for concurrent use.
type Stream interface {
	// Format is the negotiated format. It is the zero Format until known, and may change (bridge.EventFormat).
	Format() Format
	// SetSink directs received audio to s from the next packet on; nil discards it. When SetSink returns, the former
	// sink receives nothing more.
	SetSink(s Sink)
	// SendFrame sends or queues one frame and never blocks on anything but the socket. Failures are counted by the stream.
	SendFrame(f *Frame)
	// SendDigit sends one DTMF digit (RFC 4733) on the stream's own timeline, without blocking.
	SendDigit(d Digit)
	// Stats returns counters so far.
	Stats() Stats
}

// Digit is one DTMF digit: 0–9, *, #, A–D.
type Digit byte

// Stats are the counters of one stream. Received loss and jitter follow RFC 3550 §6.4.1 and appendix A.8.
type Stats struct {
	Received      uint64
	Lost          uint64
	Late          uint64 // arrived too late to be used
	Rejected      uint64 // malformed, wrong source, failed authentication, replayed
	Sent          uint64 // all packets sent, filler included
	Filler        uint64 // silence sent because the source was quiet
	GateBuffered  uint64 // frames that waited for the send gate
	GateDropped   uint64 // frames beyond the gate's buffer
	SendErrors    uint64
	Jitter        time.Duration // interarrival jitter
	RTT           time.Duration // 0 while unknown
	RemoteLoss    float64       // fraction the far end reports lost, -1 while unknown
	FirstSent     time.Time     // first audio packet that left; zero before
	FirstReceived time.Time
}

// Tap sees both directions of a stream: what was received, as it came, and what was sent, as it left. It runs on the
// stream's own goroutines: it must not block, allocate, or keep what it is given.
type Tap interface {
	Received(p *Packet, c Codec)
	Sent(payload []byte, c Codec, timestamp uint32, sequence uint16, marker bool, at time.Time)
}

// Tappable is a stream that can be listened to. When SetTap returns, the former tap is given nothing more; nil removes it.
type Tappable interface {
	SetTap(t Tap)
}
