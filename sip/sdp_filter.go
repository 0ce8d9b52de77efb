package sip

import (
	"fmt"
	"strings"
)

// filterSDP checks the limits and keeps of a description only what we read: c=, the a= lines we know, and the m-lines of
// plain RTP audio, in the order the grammar wants. It returns that text, and every m-line as written.
func filterSDP(body []byte) (string, []remoteLine, error) {
	if len(body) > maxSDPBytes {
		return "", nil, errSDPTooLarge
	}
	f := sdpFilter{session: sdpSection{keep: true}}
	f.current = &f.session
	seen := false
	for raw := range strings.SplitSeq(string(body), "\n") {
		line := strings.TrimRight(raw, "\r \t")
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' || strings.ContainsAny(line, "\r\x00") {
			return "", nil, fmt.Errorf("%w: not a type=value line", errSDPSyntax)
		}
		if !seen && line != "v=0" {
			return "", nil, fmt.Errorf("%w: does not begin with v=0", errSDPSyntax)
		}
		seen = true
		if err := f.take(line); err != nil {
			return "", nil, err
		}
	}
	if !seen {
		return "", nil, fmt.Errorf("%w: empty", errSDPSyntax)
	}
	return f.text(), f.lines, nil
}

// sdpSection is the session level or one m-line with what belongs to it. Some devices write c= after a=, so the two are
// kept apart and put in order at the end.
type sdpSection struct {
	keep       bool
	mediaLine  string
	connection string
	attributes []string
}

type sdpFilter struct {
	session    sdpSection
	media      []*sdpSection
	current    *sdpSection
	lines      []remoteLine
	candidates int
}

func (f *sdpFilter) take(line string) error {
	switch line[0] {
	case 'm':
		return f.takeMedia(line)
	case 'c':
		f.current.connection = line
	case 'a':
		return f.takeAttribute(line)
	}
	return nil
}

func (f *sdpFilter) takeMedia(line string) error {
	if len(f.lines) == maxSDPMedia {
		return errSDPTooLarge
	}
	w := strings.Fields(line[2:])
	if len(w) < 4 {
		return fmt.Errorf("%w: m= line", errSDPSyntax)
	}
	l := remoteLine{media: w[0], proto: w[2], formats: w[3:]}
	f.lines = append(f.lines, l)
	f.current = &sdpSection{keep: l.usable(), mediaLine: "m=" + strings.Join(w, " ")}
	f.media = append(f.media, f.current)
	return nil
}

func (f *sdpFilter) takeAttribute(line string) error {
	key, _, _ := strings.Cut(line[2:], ":")
	switch key {
	case "rtpmap", "fmtp", "ptime", "maxptime", "rtcp", "rtcp-mux", "sendrecv", "sendonly", "recvonly", "inactive":
		f.current.attributes = append(f.current.attributes, line)
	case "candidate":
		if f.candidates++; f.candidates > maxSDPCandidates {
			return errSDPTooLarge
		}
	}
	return nil
}

func (f *sdpFilter) text() string {
	var b strings.Builder
	write := func(line string) {
		if line != "" {
			b.WriteString(line)
			b.WriteString("\r\n")
		}
	}
	section := func(s *sdpSection) {
		for _, a := range s.attributes {
			write(a)
		}
	}
	write("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-") // the far end's own o= and s= tell us nothing
	write(f.session.connection)
	write("t=0 0")
	section(&f.session)
	for _, m := range f.media {
		if m.keep {
			write(m.mediaLine)
			write(m.connection)
			section(m)
		}
	}
	return b.String()
}
