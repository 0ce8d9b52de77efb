package media

// An Opus packet is a TOC byte and one or more frames of the same kind (RFC 6716 §3). Cutting packets into frames and joining
// frames to packets changes how long a packet lasts and leaves every bit of audio as it was.

// MaxOpusFrames is how many frames a packet can have (48 of 2.5 ms are 120 ms).
const MaxOpusFrames = 48

// OpusFrameTicks returns how long each frame of a packet lasts that begins with this TOC byte, on the 48 kHz clock.
func OpusFrameTicks(toc byte) uint32 { return opusFrame(toc) }

// OpusFrames cuts a packet into its frames and appends them to frames; they are parts of p. A frame without bytes was lost
// or not sent. Padding is left out. ok is false for a packet that RFC 6716 §3.4 calls malformed.
func OpusFrames(p []byte, frames [][]byte) (_ [][]byte, ok bool) {
	if _, ok := opusTicks(p); !ok {
		return frames, false
	}
	// From here on every length is known to fit.
	toc, body := p[0], p[1:]
	switch toc & 3 {
	case 0:
		return append(frames, body), true
	case 1:
		return append(frames, body[:len(body)/2], body[len(body)/2:]), true
	case 2:
		n, used := opusLength(body)
		body = body[used:]
		return append(frames, body[:n], body[n:]), true
	}
	return opusFrames3(body, frames), true
}

// opusFrames3 cuts a packet with a frame count byte that opusCode3 found sound.
func opusFrames3(p []byte, frames [][]byte) [][]byte {
	head := p[0]
	count := int(head & 63)
	p = p[1:]
	if head&0x40 != 0 {
		padding := 0
		for p[0] == 255 {
			padding += 254
			p = p[1:]
		}
		padding += int(p[0])
		p = p[1 : len(p)-padding]
	}
	if head&0x80 == 0 {
		size := len(p) / count
		for i := range count {
			frames = append(frames, p[i*size:(i+1)*size])
		}
		return frames
	}
	var sizes [MaxOpusFrames]int
	for i := range count - 1 {
		n, used := opusLength(p)
		sizes[i], p = n, p[used:]
	}
	for i := range count - 1 {
		frames, p = append(frames, p[:sizes[i]]), p[sizes[i]:]
	}
	return append(frames, p)
}

// OpusJoin says how AppendOpus writes a packet.
type OpusJoin struct {
	// SelfDelimited adds the length of the last frame, so that another packet can follow (RFC 6716 appendix B).
	SelfDelimited bool
	// Size pads the packet to this many bytes (RFC 6716 §3.2.5); 0, or a size too small for the frames and the frame count
	// byte that padding needs, pads nothing.
	Size int
}

// AppendOpus joins 1 to MaxOpusFrames frames, each of at most 1275 bytes and 120 ms together, to one packet and appends it to
// dst. Of toc, the frames' TOC byte, the two bits that tell how many frames there are do not matter.
func AppendOpus(dst []byte, toc byte, frames [][]byte, j OpusJoin) []byte {
	toc &^= 3
	equal := true
	total := 0
	for _, f := range frames {
		equal = equal && len(f) == len(frames[0])
		total += len(f)
	}
	last := 0 // bytes of the last frame's length
	if j.SelfDelimited {
		last = opusLengthSize(len(frames[len(frames)-1]))
	}
	if padded := opusPadding(frames, total, last, equal, j.Size); padded > 0 || len(frames) > 2 {
		return appendOpus3(dst, toc, frames, equal, j.SelfDelimited, padded)
	}
	switch {
	case len(frames) == 1:
		dst = append(dst, toc)
	case equal:
		dst = append(dst, toc|1)
	default:
		dst = appendOpusLength(append(dst, toc|2), len(frames[0]))
	}
	if j.SelfDelimited {
		dst = appendOpusLength(dst, len(frames[len(frames)-1]))
	}
	return appendFrames(dst, frames)
}

// opusPadding returns the bytes missing to size, those that tell the padding's length included.
func opusPadding(frames [][]byte, total, last int, equal bool, size int) int {
	lengths := last
	if !equal {
		for _, f := range frames[:len(frames)-1] {
			lengths += opusLengthSize(len(f))
		}
	}
	return max(size-(2+lengths+total), 0)
}

func appendOpus3(dst []byte, toc byte, frames [][]byte, equal, selfDelimited bool, padding int) []byte {
	count := byte(len(frames))
	if !equal {
		count |= 0x80
	}
	if padding > 0 {
		count |= 0x40
	}
	dst = append(dst, toc|3, count)
	zeros := 0
	if padding > 0 {
		// Each byte of 255 stands for 254 bytes of padding beside itself.
		for padding > 255 {
			dst = append(dst, 255)
			padding -= 255
			zeros += 254
		}
		dst = append(dst, byte(padding-1))
		zeros += padding - 1
	}
	if !equal {
		for _, f := range frames[:len(frames)-1] {
			dst = appendOpusLength(dst, len(f))
		}
	}
	if selfDelimited {
		dst = appendOpusLength(dst, len(frames[len(frames)-1]))
	}
	dst = appendFrames(dst, frames)
	return append(dst, make([]byte, zeros)...)
}

func appendFrames(dst []byte, frames [][]byte) []byte {
	for _, f := range frames {
		dst = append(dst, f...)
	}
	return dst
}

func opusLengthSize(n int) int {
	if n < 252 {
		return 1
	}
	return 2
}

func appendOpusLength(dst []byte, n int) []byte {
	if n < 252 {
		return append(dst, byte(n))
	}
	return append(dst, byte(252+n&3), byte((n-252-n&3)>>2))
}
