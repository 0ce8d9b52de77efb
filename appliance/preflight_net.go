package appliance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// checkListeners binds every configured address for a moment.
func checkListeners(ctx context.Context, c *Config) Finding {
	if running(ctx, c.DataDir) {
		return skipped("the daemon is running and holds them")
	}
	var bad []string
	n := 0
	for _, l := range []struct{ path, network, addr string }{
		{"webhook.listen", "tcp", c.Webhook.Listen},
		{"admin.listen", "tcp", c.Admin.Listen},
		{"metrics.listen", "tcp", c.Metrics.Listen},
		{"sip.udp", "udp", c.SIP.UDP},
		{"sip.tcp", "tcp", c.SIP.TCP},
	} {
		if l.addr == "" {
			continue
		}
		n++
		if err := tryBind(ctx, l.network, l.addr); err != nil {
			bad = append(bad, l.path+" ("+err.Error()+")")
		}
	}
	if len(bad) > 0 {
		return problem("stop the program that holds the port (ss -lntup shows it) or change the option", "%s", strings.Join(bad, "; "))
	}
	return ok("all %d addresses are free", n)
}

func tryBind(ctx context.Context, network, addr string) error {
	var lc net.ListenConfig
	if network == "udp" {
		conn, err := lc.ListenPacket(ctx, network, addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	l, err := lc.Listen(ctx, network, addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// running asks the control socket whether a daemon uses this data folder.
func running(ctx context.Context, dataDir string) bool {
	_, err := NewControlClient(dataDir).Status(ctx)
	return err == nil
}

// maxPortTests bounds how many ports of each range are tried; they are spread over the range.
const maxPortTests = 200

func checkMediaPorts(ctx context.Context, c *Config) Finding {
	if running(ctx, c.DataDir) {
		return skipped("the daemon is running and may hold some")
	}
	tried, taken := 0, 0
	for _, r := range [][2]int{{c.RTP.PortMin, c.RTP.PortMax}, {c.WebRTC.PortMin, c.WebRTC.PortMax}} {
		step := max(1, (r[1]-r[0]+1)/maxPortTests)
		for port := r[0]; port <= r[1]; port += step {
			tried++
			if tryBind(ctx, "udp", ":"+strconv.Itoa(port)) != nil {
				taken++
			}
		}
	}
	// A port that is taken is passed over when a call needs one, so a few do no harm.
	if taken*10 > tried {
		return problem("move rtp and webrtc to ranges no other program uses", "%d of %d ports tried are taken", taken, tried)
	}
	return ok("%d of %d ports tried are free", tried-taken, tried)
}

// checkAddresses proves that the addresses we bind or announce as our own are on an interface of this machine.
func checkAddresses(c *Config) Finding {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return problem("allow AF_NETLINK in the unit (RestrictAddressFamilies)", "interfaces cannot be listed: %v", err)
	}
	local := make(map[netip.Addr]bool)
	outside := 0
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			local[p.Addr().Unmap()] = true
			if !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
				outside++
			}
		}
	}
	isLocal := func(s string) bool {
		ip, err := netip.ParseAddr(s)
		return err == nil && local[ip.Unmap()]
	}
	if c.WebRTC.Address != "" && !isLocal(c.WebRTC.Address) {
		return problem("use an address of this machine; the one Meta sees goes into webrtc.public_address", "webrtc.address %s is on no interface", c.WebRTC.Address)
	}
	for _, a := range []struct{ path, addr string }{{"sip.advertised_address", c.SIP.AdvertisedAddress}, {"rtp.address", c.RTP.Address}} {
		if a.addr != "" && !isLocal(a.addr) {
			return warning("right only behind 1:1 NAT", "%s %s is on no interface", a.path, a.addr)
		}
	}
	if outside == 0 && c.WebRTC.Address == "" {
		return warning("connect the machine to a network", "there is only the loopback interface, so Meta cannot be reached")
	}
	return ok("%d addresses on this machine", outside)
}

func checkCertificate(t TLSConfig, now time.Time) Finding {
	if t.CertFile == "" {
		return ok("none configured: plain HTTP, for a reverse proxy in front")
	}
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return problem("correct webhook.tls; certificate and key must belong together and be readable", "%v", err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return problem("replace the certificate", "%v", err)
	}
	if st, err := os.Stat(t.KeyFile); err == nil && st.Mode().Perm()&0o007 != 0 {
		return problem("chmod o-rwx "+t.KeyFile, "everybody on this machine can read the key")
	}
	until := leaf.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case now.After(leaf.NotAfter) || now.Before(leaf.NotBefore):
		return problem("renew the certificate", "valid from %s until %s only", leaf.NotBefore.UTC().Format(time.DateOnly), until)
	case leaf.NotAfter.Sub(now) < 14*24*time.Hour:
		return warning("renew the certificate", "valid only until %s", until)
	case len(pair.Certificate) == 1 && leaf.CheckSignatureFrom(leaf) == nil:
		return warning("use a publicly trusted certificate", "self-signed: Meta will not call it")
	}
	return ok("%s, valid until %s", strings.Join(leaf.DNSNames, " "), until)
}

// checkGraph proves name resolution, routing and TLS, not the token. It only warns: a machine may be set up before its
// connection is.
func checkGraph(ctx context.Context, baseURL string) Finding {
	const fix = "allow DNS and outgoing TCP 443 for this machine"
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, baseURL, nil)
	if err != nil {
		return problem("correct graph.base_url", "%v", err)
	}
	client := &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
			return warning(fix, "the name cannot be resolved: %v", dns)
		}
		return warning(fix, "not reachable: %v", err)
	}
	_ = res.Body.Close()
	return ok("%s answers", baseURL)
}
