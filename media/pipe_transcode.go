package media

import (
	"fmt"
)

// transcode decodes at the rate of the narrower codec and encodes from it: Opus runs at 8 kHz for G.711 and at 16 kHz for
// G.722, so nothing is resampled (design §7).
type transcode struct {
	from, to Codec
	dec      Decoder
	enc      Encoder
	rate     int
	clock    int    // of the incoming RTP timestamp
	frame    int    // samples of an outgoing frame
	ticks    uint32 // and its RTP duration
	pcm      []int16
	n        int  // samples waiting in pcm
	madeUp   bool // all of them are
	marker   bool
	decoded  []int16
	payload  []byte
}

func newTranscode(in Codec, out Format, settings OpusSettings) (*transcode, error) {
	rate, err := commonRate(in, out.Codec)
	if err != nil {
		return nil, err
	}
	if out.Codec == Opus {
		out.PTime = out.Codec.Duration(opusFrameTicks)
	}
	t := &transcode{
		from: in, to: out.Codec, rate: rate, clock: in.ClockRate(),
		frame: int(int64(out.PTime) * int64(rate) / 1e9), ticks: out.Codec.Ticks(out.PTime),
	}
	if t.dec, err = NewDecoder(in, rate); err != nil {
		return nil, err
	}
	if out.Codec == Opus {
		t.enc, err = newOpusEncoder(rate, settings)
	} else {
		t.enc, err = NewEncoder(out.Codec, rate)
	}
	if err != nil {
		return nil, err
	}
	t.decoded = make([]int16, maxPacketMillis*rate/1000)
	t.pcm = make([]int16, t.frame)
	t.payload = make([]byte, MaxPayload)
	return t, nil
}

// commonRate is the sample rate two codecs share. G.711 and G.722 share none; no call needs them joined, since one side
// of every call is WhatsApp.
func commonRate(a, b Codec) (int, error) {
	if a == Opus {
		a, b = b, a
	}
	switch {
	case b != Opus:
		return 0, ErrNoConversion
	case a == Opus:
		return EncodeRate(Opus), nil
	}
	return a.SampleRate(), nil
}

func (t *transcode) String() string {
	return fmt.Sprintf("decode %v → %d Hz → encode %v", t.from, t.rate, t.to)
}

func (t *transcode) length(payload []byte) (uint32, bool) {
	if t.from == Opus {
		return opusTicks(payload)
	}
	return flatLength(payload)
}

func (t *transcode) packet(p *Pipe, payload []byte, ticks uint32, lost int, marker bool) {
	samples := int(int64(ticks) * int64(t.rate) / int64(t.clock))
	t.restore(p, payload, samples, lost)
	n, err := t.dec.Decode(payload, t.decoded)
	if err != nil {
		p.malformed.Add(1)
		return
	}
	t.marker = t.marker || marker
	t.encode(p, t.decoded[:n], false)
}

// restore makes up for lost packets: the last from the FEC in the packet after it, the others by concealment.
func (t *transcode) restore(p *Pipe, next []byte, samples, lost int) {
	for left := min(lost, maxConcealed); left > 0; left-- {
		pcm := t.decoded[:samples]
		if left == 1 && t.dec.Recover(next, pcm) {
			p.recovered.Add(1)
		} else {
			if left > 1 {
				t.dec.Conceal(pcm)
			}
			p.concealed.Add(1)
		}
		t.encode(p, pcm, true)
	}
}

// encode cuts pcm into outgoing frames and sends those that are full.
func (t *transcode) encode(p *Pipe, pcm []int16, madeUp bool) {
	for len(pcm) > 0 {
		var source []int16
		if t.n == 0 {
			t.madeUp = madeUp
		}
		t.madeUp = t.madeUp && madeUp
		if t.n == 0 && len(pcm) >= t.frame {
			source, pcm = pcm[:t.frame], pcm[t.frame:]
		} else {
			n := copy(t.pcm[t.n:], pcm)
			t.n += n
			pcm = pcm[n:]
			if t.n < t.frame {
				return
			}
			source, t.n = t.pcm, 0
		}
		n, err := t.enc.Encode(source, t.payload)
		if err != nil {
			p.malformed.Add(1)
			continue
		}
		p.send(t.payload[:n], t.ticks, 0, t.madeUp, t.marker)
		t.marker = false
	}
}
