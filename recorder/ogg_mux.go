package recorder

import "deskbridge/media"

const (
	// pageSlots is how many slots go into a page: about a second, 0.5 % of overhead, and what a player has to fetch to seek.
	pageSlots = 50
	// restEvery chunks (seconds) a reader can begin.
	restEvery = 32
	// maxGroup is the longest frame's slots.
	maxGroup = 3
)

// oggMuxer writes Ogg Opus pages.
//
// Both streams of one Ogg packet must last equally long (RFC 7845 §3). That is 20 ms as a rule. Where a side has a frame of 40
// or 60 ms, which cannot be cut without decoding it, the other side's frames of that time are joined to one packet as long;
// nothing is decoded. Only what cannot be joined is coded anew: a frame of 40 or 60 ms that begins within the other side's,
// frames of different kinds within the other side's 60 ms, and G.711.
//
// A gap becomes silence at once, also that of one lost packet, though RFC 7845 §4.1 would have an empty frame there, for players
// to conceal it. libopus does so well, but ffmpeg's own decoder (5.1) answers the packet after some empty frames with noise of
// full scale. Empty frames are left where one packet must join a gap and audio.
type oggMuxer struct {
	*timeline
	sides   []Side // one: mono
	number  uint32 // pages written
	granule int64  // samples written
	page    oggPage
	inPage  int    // slots
	packet  []byte // built and not yet in a page
	length  int    // its slots
	dry     bool   // only lengths matter: nothing is encoded
	coders  [2]*recoder

	parts   []slabPart
	frames  [][]byte
	scratch []byte
}

// slabPart is what a slab has in one group of slots.
type slabPart struct {
	slab     *slab
	from, n  int // slots
	complete bool
}

// resting reports that a reader can begin here: no coder has anything to remember but the lanes' history.
func (m *oggMuxer) resting() bool { return m.number%restEvery == 0 && len(m.packet) == 0 }

func (m *oggMuxer) clone() producer {
	return &oggMuxer{timeline: m.copied(), sides: m.sides, number: m.number, granule: m.granule}
}

// next appends the next page to dst. It appends nothing after the last.
func (m *oggMuxer) next(dst []byte) ([]byte, error) {
	switch m.number {
	case 0:
		if err := m.open(); err != nil {
			return dst, err
		}
		m.page.add(opusHead(len(m.sides), m.preSkip()))
		return m.flush(dst, oggFirst, 0), nil
	case 1:
		m.page.add(opusTags())
		return m.flush(dst, 0, 0), nil
	}
	for {
		if len(m.packet) > 0 {
			if !m.page.add(m.packet) {
				return m.flush(dst, 0, m.granule), nil
			}
			m.granule += int64(m.length) * slotTicks
			m.inPage += m.length
			m.packet = m.packet[:0]
		}
		if err := m.need(maxGroup); err != nil {
			return dst, err
		}
		if m.over() {
			break
		}
		if m.inPage >= pageSlots {
			return m.flush(dst, 0, m.granule), nil
		}
		m.group()
	}
	if m.page.empty() {
		return dst, nil
	}
	// RFC 7845 §4.4: the last granule position cuts what the call no longer was.
	return m.flush(dst, oggLast, m.timeline.length+m.preSkip()), nil
}

// pass is next without encoding. The page is made all the same: that is cheap, and cannot differ.
func (m *oggMuxer) pass() (int64, error) {
	m.dry = true
	var err error
	m.scratch, err = m.next(m.scratch[:0])
	return int64(len(m.scratch)), err
}

// flush ends the page.
func (m *oggMuxer) flush(dst []byte, flags byte, granule int64) []byte {
	m.number++
	m.inPage = 0
	if m.resting() {
		m.coders = [2]*recoder{}
	}
	return m.page.append(dst, flags, granule, m.id, m.number-1)
}

// open reads as far as the pre-skip needs.
func (m *oggMuxer) open() error {
	for !m.started && !m.ended {
		if err := m.pull(); err != nil {
			return err
		}
	}
	return nil
}

// group builds the next Ogg packet.
func (m *oggMuxer) group() {
	n := 1
	for _, s := range m.sides {
		n = max(n, m.lanes[s].queue.unit())
	}
	for i, s := range m.sides {
		m.side(&m.lanes[s], &m.coders[s], n, i < len(m.sides)-1)
	}
	m.length = n
	m.take(n)
}

// unit returns how many slots the next packet of this side lasts at least.
func (q *slabQueue) unit() int {
	if len(q.slabs) == 0 || q.slabs[0].gap() {
		return 1
	}
	return q.slabs[0].slots - q.used
}

// parts returns what lies in the next n slots. After the end nothing is a gap.
func (q *slabQueue) parts(dst []slabPart, n int) []slabPart {
	from := q.used
	for i := range q.slabs {
		if n == 0 {
			return dst
		}
		s := &q.slabs[i]
		k := min(n, s.slots-from)
		dst = append(dst, slabPart{slab: s, from: from, n: k, complete: k == s.slots})
		n -= k
		from = 0
	}
	if n > 0 {
		dst = append(dst, slabPart{slab: &slab{slots: n}, n: n})
	}
	return dst
}

// side appends one side's packet of n slots.
func (m *oggMuxer) side(l *lane, c **recoder, n int, selfDelimited bool) {
	m.parts = l.queue.parts(m.parts[:0], n)
	f, same, empty := common(m.parts)
	join := media.OpusJoin{SelfDelimited: selfDelimited}
	switch {
	case empty && !(flat(l.heard.codec) && l.silent < concealed):
		m.frames = m.frames[:0]
		silence := media.SilenceFrame(media.Opus, slotTicks)
		for range n {
			m.frames = append(m.frames, silence[1:])
		}
		f.toc = silence[0]
	case !same || empty:
		m.recode(l, c, n, join)
		return
	default:
		m.frames = m.frames[:0]
		for _, p := range m.parts {
			m.frames = p.slab.frames(m.frames)
			if p.slab.gap() {
				for range int64(p.n) * slotTicks / f.ticks() {
					m.frames = append(m.frames, nil)
				}
			}
		}
	}
	*c = nil
	m.packet = media.AppendOpus(m.packet, f.toc, m.frames, join)
}

// common returns the form that all audio has and whether one packet can hold it as it is.
func common(parts []slabPart) (f form, same, empty bool) {
	same, empty = true, true
	gaps := false
	for _, p := range parts {
		switch {
		case p.slab.gap():
			gaps = true
			continue
		case empty:
			f, empty = p.slab.form, false
		}
		same = same && p.complete && !p.slab.recode && p.slab.form == f && !flat(f.codec)
	}
	if gaps && !empty && same {
		same = f.ticks() <= slotTicks
	}
	return f, same, empty
}

func (m *oggMuxer) recode(l *lane, c **recoder, n int, join media.OpusJoin) {
	l.stats.Recoded += n
	join.Size = recodedSize(n)
	if m.dry {
		for range join.Size {
			m.packet = append(m.packet, 0)
		}
		return
	}
	toc, frames := recoded(l, c, m.parts)
	m.packet = media.AppendOpus(m.packet, toc, frames, join)
}
