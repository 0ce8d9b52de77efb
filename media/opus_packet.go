package media

// opusTicks checks the structure of an Opus packet (RFC 6716 §3.2, requirements R1 to R7) and returns its duration on the
// 48 kHz clock. It looks at no audio data, so a packet can pass through us without being decoded and still be a valid one.
func opusTicks(p []byte) (ticks uint32, ok bool) {
	if len(p) == 0 {
		return 0, false // R1
	}
	frame := opusFrame(p[0])
	body := p[1:]
	switch p[0] & 3 {
	case 0:
		return frame, len(body) <= maxOpusFrame
	case 1:
		return 2 * frame, len(body)%2 == 0 && len(body)/2 <= maxOpusFrame // R3
	case 2:
		n, used := opusLength(body)
		return 2 * frame, used > 0 && used+n <= len(body) && len(body)-used-n <= maxOpusFrame // R4
	}
	count, ok := opusCode3(body)
	ticks = uint32(count) * frame
	return ticks, ok && ticks <= 48*maxPacketMillis // R5
}

const maxOpusFrame = 1275 // R2

// opusFrame returns the duration of one frame (RFC 6716 §3.1 table 2).
func opusFrame(toc byte) uint32 {
	config := toc >> 3
	switch {
	case config < 12: // SILK
		return [4]uint32{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid
		return [2]uint32{480, 960}[config&1]
	default: // CELT
		return 120 << (config & 3)
	}
}

// opusLength reads a frame length (RFC 6716 §3.2.1) and the bytes it took; 0 bytes when it is cut off.
func opusLength(p []byte) (n, used int) {
	switch {
	case len(p) == 0:
		return 0, 0
	case p[0] < 252:
		return int(p[0]), 1
	case len(p) == 1:
		return 0, 0
	}
	return int(p[1])*4 + int(p[0]), 2
}

// opusCode3 checks a packet with a frame count byte (RFC 6716 §3.2.5). p follows the TOC.
func opusCode3(p []byte) (count int, ok bool) {
	if len(p) == 0 {
		return 0, false // R6, R7
	}
	head := p[0]
	p = p[1:]
	count = int(head & 63)
	if count == 0 {
		return 0, false
	}
	if head&0x40 != 0 {
		padding := 0
		for {
			if len(p) == 0 {
				return 0, false
			}
			b := int(p[0])
			p = p[1:]
			if b < 255 {
				padding += b
				break
			}
			padding += 254
		}
		if padding > len(p) {
			return 0, false
		}
		p = p[:len(p)-padding]
	}
	if head&0x80 == 0 { // constant size
		return count, len(p)%count == 0 && len(p)/count <= maxOpusFrame
	}
	for range count - 1 {
		n, used := opusLength(p)
		if used == 0 || used+n > len(p) || n > maxOpusFrame {
			return 0, false
		}
		// The lengths come first, the frames after them all: reserve each frame at the end.
		p = p[used : len(p)-n]
	}
	return count, len(p) <= maxOpusFrame
}

// opusHasFEC reports whether a packet repeats the frame before it (low bit-rate redundancy). The flag is the bit after the
// VAD bits of the first SILK frame (RFC 6716 §4.2.3), for mono packets.
func opusHasFEC(p []byte) bool {
	if len(p) < 2 || p[0]>>3 >= 16 || p[0]&3 != 0 {
		return false
	}
	frames := max(opusFrame(p[0])/960, 1)
	return p[1]<<frames&0x80 != 0
}
