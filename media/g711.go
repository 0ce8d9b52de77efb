package media

// G.711 by table (ITU-T G.711; the encoder takes 16 bit linear and works on its upper 14 (µ) or 13 (A) bits).

var (
	alawToLinear, ulawToLinear [256]int16
	linearToAlaw               [1 << 13]byte // by sample >> 3
	linearToUlaw               [1 << 14]byte // by sample >> 2
	alawToUlaw, ulawToAlaw     [256]byte
)

func init() {
	for i := range 256 {
		alawToLinear[i] = decodeAlaw(byte(i))
		ulawToLinear[i] = decodeUlaw(byte(i))
	}
	for i := range linearToAlaw {
		linearToAlaw[i] = encodeAlaw(int(int16(i << 3)))
	}
	for i := range linearToUlaw {
		linearToUlaw[i] = encodeUlaw(int(int16(i << 2)))
	}
	for i := range 256 {
		alawToUlaw[i] = linearToUlaw[uint16(alawToLinear[i])>>2]
		ulawToAlaw[i] = linearToAlaw[uint16(ulawToLinear[i])>>3]
	}
}

func decodeAlaw(a byte) int16 {
	a ^= 0x55
	mantissa := int(a & 15)
	v := mantissa<<4 + 8
	if exponent := int(a >> 4 & 7); exponent > 0 {
		v = (v + 256) << (exponent - 1)
	}
	if a&0x80 == 0 {
		v = -v
	}
	return int16(v)
}

func encodeAlaw(sample int) byte {
	sign := byte(0x80)
	v := sample >> 3
	if v < 0 {
		sign = 0
		v = ^v
	}
	exponent := 0
	for v>>exponent > 31 {
		exponent++
	}
	return (sign | byte(exponent<<4) | byte(v>>max(exponent, 1)&15)) ^ 0x55
}

const ulawBias = 0x84

func decodeUlaw(u byte) int16 {
	u = ^u
	v := (int(u&15)<<3+ulawBias)<<(u>>4&7) - ulawBias
	if u&0x80 != 0 {
		v = -v
	}
	return int16(v)
}

func encodeUlaw(sample int) byte {
	sign := byte(0)
	v := sample
	if v < 0 {
		sign = 0x80
		v = ^v // as the ITU's own code (G.191) does; -v would differ at the decision levels
	}
	v = min(v+ulawBias, 0x7fff)
	exponent := 7
	for v>>(exponent+7) == 0 {
		exponent--
	}
	return ^(sign | byte(exponent<<4) | byte(v>>(exponent+3)&15))
}

func g711Decode(c Codec) *[256]int16 {
	if c == PCMA {
		return &alawToLinear
	}
	return &ulawToLinear
}

type g711Table struct {
	codes []byte
	shift uint
}

func g711Encode(c Codec) g711Table {
	if c == PCMA {
		return g711Table{linearToAlaw[:], 3}
	}
	return g711Table{linearToUlaw[:], 2}
}

type g711Encoder struct{ table g711Table }

func (e *g711Encoder) Encode(pcm []int16, dst []byte) (int, error) {
	if len(dst) < len(pcm) {
		return 0, ErrMalformed
	}
	codes, shift := e.table.codes, e.table.shift
	for i, s := range pcm {
		dst[i] = codes[uint16(s)>>shift]
	}
	return len(pcm), nil
}

type g711Decoder struct {
	table *[256]int16
	plc   *concealer
}

func (d *g711Decoder) Decode(payload []byte, pcm []int16) (int, error) {
	if len(payload) == 0 || len(payload) > len(pcm) {
		return 0, ErrMalformed
	}
	for i, b := range payload {
		pcm[i] = d.table[b]
	}
	d.plc.heard(pcm[:len(payload)])
	return len(payload), nil
}

func (d *g711Decoder) Conceal(pcm []int16) { d.plc.conceal(pcm) }

func (d *g711Decoder) Recover(_ []byte, pcm []int16) bool {
	d.plc.conceal(pcm)
	return false
}
