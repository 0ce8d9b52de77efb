package media

import (
	"fmt"

	"github.com/hraban/opus"
)

// opusFrameTicks is the 20 ms that Meta wants and we send, on Opus's 48 kHz RTP clock (RFC 7587 §4.1).
const opusFrameTicks = 960

// OpusSettings are the encoder's knobs.
type OpusSettings struct {
	Bitrate      int // bit/s
	Complexity   int // 0–10
	ExpectedLoss int // per cent; steers how much in-band FEC is spent. 0 turns FEC off
}

// DefaultOpusSettings are what Meta's limits (20 kbit/s, FEC) and one CPU core for many calls suggest.
var DefaultOpusSettings = OpusSettings{Bitrate: 20000, Complexity: 5, ExpectedLoss: 10}

// OpusVersion names the libopus in use. A second Opus binding in the program would replace its symbols silently.
func OpusVersion() string { return opus.Version() }

type opusEncoder struct {
	enc  *opus.Encoder
	rate int
}

func newOpusEncoder(rate int, s OpusSettings) (*opusEncoder, error) {
	enc, err := opus.NewEncoder(rate, 1, opus.AppVoIP)
	if err != nil {
		return nil, fmt.Errorf("new opus encoder at %d Hz: %w", rate, err)
	}
	for _, set := range []func() error{
		func() error { return enc.SetBitrate(s.Bitrate) },
		func() error { return enc.SetComplexity(s.Complexity) },
		func() error { return enc.SetInBandFEC(s.ExpectedLoss > 0) },
		func() error { return enc.SetPacketLossPerc(s.ExpectedLoss) },
		// Meta drops a line that goes quiet, so silence is sent too.
		func() error { return enc.SetDTX(false) },
		func() error { return enc.SetMaxBandwidth(opus.Wideband) },
	} {
		if err := set(); err != nil {
			return nil, fmt.Errorf("set up opus encoder: %w", err)
		}
	}
	return &opusEncoder{enc: enc, rate: rate}, nil
}

func (e *opusEncoder) Encode(pcm []int16, dst []byte) (int, error) {
	if len(pcm) != e.rate/50 {
		return 0, fmt.Errorf("encode opus: %d samples are not 20 ms: %w", len(pcm), ErrMalformed)
	}
	// The binding goes by cap, not len.
	return e.enc.Encode(pcm, dst[:len(dst):len(dst)])
}

type opusDecoder struct {
	dec  *opus.Decoder
	rate int
}

func newOpusDecoder(rate int) (*opusDecoder, error) {
	dec, err := opus.NewDecoder(rate, 1)
	if err != nil {
		return nil, fmt.Errorf("new opus decoder at %d Hz: %w", rate, err)
	}
	return &opusDecoder{dec: dec, rate: rate}, nil
}

func (d *opusDecoder) Decode(payload []byte, pcm []int16) (int, error) {
	ticks, ok := opusTicks(payload)
	n := int(ticks) * d.rate / 48000
	if !ok || n > len(pcm) {
		return 0, ErrMalformed
	}
	return d.dec.Decode(payload, pcm[:n:n])
}

func (d *opusDecoder) Conceal(pcm []int16) {
	if d.dec.DecodePLC(pcm[:len(pcm):len(pcm)]) != nil {
		clear(pcm)
	}
}

func (d *opusDecoder) Recover(next []byte, pcm []int16) bool {
	if d.dec.DecodeFEC(next, pcm[:len(pcm):len(pcm)]) != nil {
		clear(pcm)
		return false
	}
	return opusHasFEC(next)
}
