package sip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Resolver is the part of net.Resolver we use.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// maxTargets bounds what a name may resolve to.
const maxTargets = 8

// resolve finds the addresses of a peer in the order to try (RFC 3263 §4.2): an address is itself, a port means no SRV,
// else SRV (which Go sorts by priority and weight), else the plain name on 5060.
func resolve(ctx context.Context, r Resolver, host string, port int, transport string) ([]netip.AddrPort, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(a.Unmap(), defaultPort(port))}, nil
	}
	if r == nil {
		r = net.DefaultResolver
	}
	var out []netip.AddrPort
	if port == 0 {
		if _, srv, err := r.LookupSRV(ctx, "sip", transport, host); err == nil {
			for _, s := range srv {
				out = lookup(ctx, r, s.Target, s.Port, out)
			}
		}
	}
	if len(out) == 0 {
		out = lookup(ctx, r, host, defaultPort(port), nil)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("resolve %q: no address", host)
	}
	return out, nil
}

func lookup(ctx context.Context, r Resolver, host string, port uint16, out []netip.AddrPort) []netip.AddrPort {
	ips, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return out
	}
	for i := range ips {
		ips[i] = ips[i].Unmap()
	}
	// IPv4 first: that is what PBX networks route.
	slices.SortStableFunc(ips, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	for _, ip := range ips {
		if a := netip.AddrPortFrom(ip, port); len(out) < maxTargets && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

func defaultPort(p int) uint16 {
	if p == 0 {
		return 5060
	}
	return uint16(p)
}
