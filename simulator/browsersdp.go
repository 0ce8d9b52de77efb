package simulator

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// relaySDP makes a browser's SDP look like what Meta would pass on: audio only, Opus and telephone-event/8000 only, no
// header extensions, no trickle, complete UDP candidates. from is where the browser's request came from: a candidate
// hidden behind an mDNS name (.local) is given that address, or all of this machine's when the browser runs on it.
func relaySDP(raw string, from netip.Addr) (string, error) {
	if len(raw) > maxSDP {
		return "", errors.New("SDP is larger than 16 KiB")
	}
	t := splitSDP(raw)
	if len(t.media) == 0 || !strings.HasPrefix(t.media[0].line, "audio ") {
		return "", errors.New("SDP has no audio")
	}
	m := t.media[0]
	opusPT, dtmfPT := audioTypes(t)
	if opusPT == "" {
		return "", errors.New("SDP has no Opus")
	}
	keep := []string{opusPT}
	if dtmfPT != "" {
		keep = append(keep, dtmfPT)
	}
	mid := "0"
	if v := values(m.lines, "mid"); len(v) > 0 {
		mid = v[0]
	}
	var out sdpText
	for _, l := range t.session {
		if !hasAnyPrefix(l, "a=group:", "a=extmap", "a=msid-semantic", "a=ice-options") {
			out.session = append(out.session, l)
		}
	}
	out.session = append(out.session, "a=group:BUNDLE "+mid)
	lines, first := relayLines(m.lines, keep, hostAddresses(from))
	if !first.IsValid() {
		return "", errors.New("the browser offers no usable network address")
	}
	out.media = []sdpMedia{{
		line:  fmt.Sprintf("audio %d UDP/TLS/RTP/SAVPF %s", first.Port(), strings.Join(keep, " ")),
		lines: append([]string{connectionLine(first.Addr())}, lines...),
	}}
	return out.String(), nil
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

func connectionLine(a netip.Addr) string {
	if a.Is6() {
		return "c=IN IP6 " + a.String()
	}
	return "c=IN IP4 " + a.String()
}

// relayLines filters the media section and returns the first candidate's address.
func relayLines(in, keep []string, hosts []netip.Addr) (out []string, first netip.AddrPort) {
	for _, l := range in {
		switch {
		case hasAnyPrefix(l, "c=", "a=extmap", "a=rtcp-fb:", "a=rtcp-rsize", "a=ice-options", "a=end-of-candidates"):
			continue
		case hasAnyPrefix(l, "a=rtpmap:", "a=fmtp:"):
			_, v, _ := strings.Cut(l, ":")
			pt, _, _ := strings.Cut(v, " ")
			if !slices.Contains(keep, pt) {
				continue
			}
		case strings.HasPrefix(l, "a=candidate:"):
			for _, c := range relayCandidate(strings.TrimPrefix(l, "a=candidate:"), hosts) {
				if !first.IsValid() {
					first = c.addr
				}
				out = append(out, "a=candidate:"+c.line)
			}
			continue
		}
		out = append(out, l)
	}
	return out, first
}

type relayedCandidate struct {
	line string
	addr netip.AddrPort
}

// relayCandidate returns the candidate, once per address if it was an mDNS name; nothing if it isn't UDP for RTP.
func relayCandidate(v string, hosts []netip.Addr) []relayedCandidate {
	f := strings.Fields(v)
	if len(f) < 8 || f[1] != "1" || !strings.EqualFold(f[2], "udp") {
		return nil
	}
	port, err := strconv.ParseUint(f[5], 10, 16)
	if err != nil {
		return nil
	}
	addrs := hosts
	if a, err := netip.ParseAddr(f[4]); err == nil {
		addrs = []netip.Addr{a}
	} else if !strings.HasSuffix(f[4], ".local") {
		return nil
	}
	var out []relayedCandidate
	for i, a := range addrs {
		g := slices.Clone(f)
		g[4] = a.WithZone("").String()
		if len(addrs) > 1 { // candidates of different bases need different foundations (RFC 8445 §5.1.1.3)
			g[0] = fmt.Sprintf("%s%d", f[0], i)
		}
		out = append(out, relayedCandidate{strings.Join(g, " "), netip.AddrPortFrom(a, uint16(port))})
	}
	return out
}

// hostAddresses are the addresses behind which a browser that came from "from" may really be.
func hostAddresses(from netip.Addr) []netip.Addr {
	from = from.Unmap()
	var local []netip.Addr
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return []netip.Addr{from}
	}
	here := from.IsLoopback()
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		ip := p.Addr().Unmap()
		here = here || ip == from
		if ip.Is4() && len(local) < 8 {
			local = append(local, ip)
		}
	}
	if here {
		return local
	}
	return []netip.Addr{from}
}
