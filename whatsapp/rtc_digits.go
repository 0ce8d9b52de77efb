package whatsapp

import "deskbridge/media"

// digitReceiver reports each RFC 4733 event once, at its first packet; the others repeat its timestamp.
type digitReceiver struct {
	begun bool
	event uint32
}

func (d *digitReceiver) Receive(p *media.Packet) (media.Digit, bool) {
	if len(p.Payload) < 4 || p.Payload[0] > 15 || d.begun && int32(p.Timestamp-d.event) <= 0 {
		return 0, false
	}
	d.begun, d.event = true, p.Timestamp
	return media.Digit("0123456789*#ABCD"[p.Payload[0]]), true
}
