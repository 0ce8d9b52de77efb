package media

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// ReadOggOpus decodes an Ogg Opus file (RFC 7845) of one mono or stereo stream to mono PCM at this rate (8, 16 or 48 kHz).
// It refuses files longer than limit, and any that is not whole and sound up to its last page.
func ReadOggOpus(file []byte, rate int, limit time.Duration) ([]int16, error) {
	dec, err := NewDecoder(Opus, rate)
	if err != nil {
		return nil, err
	}
	pages := &oggPages{rest: file}
	head, err := readOpusHead(pages)
	if err != nil {
		return nil, err
	}
	// The end of the audio is where the last page says it is, counted from before the pre-skip (§4.4).
	skip, most := head.skip*rate/48000, int(int64(limit)*int64(rate)/int64(time.Second))
	pcm := make([]int16, 0, min(len(file)*8, skip+most))
	buf := make([]int16, maxPacketMillis*rate/1000)
	for {
		p, err := pages.packet()
		if err != nil {
			return nil, err
		}
		if p == nil {
			break
		}
		n, err := dec.Decode(p, buf)
		if err != nil {
			return nil, fmt.Errorf("decode Opus packet at %v: %w", time.Duration(len(pcm))*time.Second/time.Duration(rate), err)
		}
		if pcm = append(pcm, buf[:n]...); len(pcm) > skip+most+len(buf) {
			return nil, fmt.Errorf("read Ogg Opus: it is longer than %v: %w", limit, ErrOgg)
		}
	}
	if end := pages.granule; pages.last && end <= uint64(len(pcm))*48000/uint64(rate) {
		pcm = pcm[:int(end)*rate/48000]
	}
	pcm = pcm[min(skip, len(pcm)):]
	if len(pcm) > most {
		return nil, fmt.Errorf("read Ogg Opus: it is longer than %v: %w", limit, ErrOgg)
	}
	head.amplify(pcm)
	return pcm, nil
}

// opusHead is what counts of the identification header (RFC 7845 §5.1).
type opusHead struct {
	skip int     // samples at 48 kHz before the audio
	gain float64 // factor
}

// readOpusHead reads the two header packets.
func readOpusHead(pages *oggPages) (opusHead, error) {
	p, err := pages.packet()
	switch {
	case err != nil:
		return opusHead{}, err
	case len(p) < 19 || string(p[:8]) != "OpusHead" || p[8]>>4 != 0:
		return opusHead{}, fmt.Errorf("read Ogg Opus: its audio is not Opus: %w", ErrOgg)
	case p[9] != 1 && p[9] != 2 || p[18] != 0:
		return opusHead{}, fmt.Errorf("read Ogg Opus: %d channels of family %d, want mono or stereo: %w", p[9], p[18], ErrOgg)
	}
	h := opusHead{skip: int(binary.LittleEndian.Uint16(p[10:])), gain: 1}
	if q := int16(binary.LittleEndian.Uint16(p[16:])); q != 0 {
		h.gain = math.Pow(10, float64(q)/(20*256))
	}
	p, err = pages.packet()
	if err == nil && (len(p) < 8 || string(p[:8]) != "OpusTags") {
		err = fmt.Errorf("read Ogg Opus: no comment header: %w", ErrOgg)
	}
	return h, err
}

// amplify applies the gain the file asks for (§5.1: a player must).
func (h opusHead) amplify(pcm []int16) {
	if h.gain == 1 {
		return
	}
	for i, v := range pcm {
		pcm[i] = int16(min(max(float64(v)*h.gain, -32768), 32767))
	}
}
