package appliance

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds that the documentation of the options names.
const (
	maxDrain       = 10 * time.Minute // reliability: calls finish, 10 min at most
	minRing        = 5 * time.Second
	maxRing        = 55 * time.Second // Meta gives up at 60 s
	minDial        = 10 * time.Second
	maxDial        = 60 * time.Second // the WhatsApp leg gives up then (design §6)
	maxCalls       = 5000
	portsPerCall   = 2 // RTP and RTCP
	legsPerCall    = 2 // phones that ring together hold a pair each; two is the least that makes sense
	lowestRTP      = 1024
	shortestSecret = 8                         // characters of a phone's password
	maxDataDir     = 107 - len("/"+SocketName) // unix(7): the path of a socket has at most 108 bytes, the final NUL included
)

var graphVersion = regexp.MustCompile(`^v[0-9]{1,3}\.[0-9]$`)

func (c *Config) validate(p *problems) {
	checkOneOf(reflect.ValueOf(c).Elem(), "", p)
	if !filepath.IsAbs(c.DataDir) || filepath.Clean(c.DataDir) == "/" {
		p.add("data_dir", fmt.Sprintf("%q is not an absolute path of a folder", c.DataDir), "use a folder such as /var/lib/deskbridge")
	}
	if len(c.DataDir) > maxDataDir {
		p.add("data_dir", "the path is too long for the control socket in it", fmt.Sprintf("use at most %d characters", maxDataDir))
	}
	checkIP(p, "public_address", c.PublicAddress)
	checkRange(p, "drain_limit", c.DrainLimit, 0, maxDrain)
	c.validateListeners(p)
	c.validatePorts(p)
	checkPair(p, "webhook.tls", c.Webhook.TLS)
	checkPair(p, "admin.tls", c.Admin.TLS)
	for i, n := range c.Admin.TrustedProxies {
		checkNetwork(p, fmt.Sprintf("admin.trusted_proxies[%d]", i), n)
	}
	if c.SIP.Domain == "" || strings.ContainsAny(c.SIP.Domain, "\"\\ \t\r\n@:;<>") || len(c.SIP.Domain) > 128 {
		p.add("sip.domain", fmt.Sprintf("%q cannot be a realm", c.SIP.Domain), "use a plain name such as deskbridge or sip.example.com")
	}
	checkIP(p, "sip.advertised_address", c.SIP.AdvertisedAddress)
	checkIP(p, "rtp.address", c.RTP.Address)
	checkIP(p, "webrtc.address", c.WebRTC.Address)
	checkIP(p, "webrtc.public_address", c.WebRTC.PublicAddress)
	checkURL(p, "graph.base_url", c.Graph.BaseURL)
	if !graphVersion.MatchString(c.Graph.Version) {
		p.add("graph.version", fmt.Sprintf("%q is not a version", c.Graph.Version), "write it as in the URL, such as v25.0")
	}
	checkRange(p, "calls.ring_timeout", c.Calls.RingTimeout, minRing, maxRing)
	checkRange(p, "calls.dial_timeout", c.Calls.DialTimeout, minDial, maxDial)
	if d := c.Recordings.Dir; d != "" && (!filepath.IsAbs(d) || filepath.Clean(d) == "/") {
		p.add("recordings.dir", fmt.Sprintf("%q is not an absolute path of a folder", d), "use a folder such as /srv/recordings")
	}
	if n := c.Recordings.MinFreeMiB; n < 64 || n > 1<<20 {
		p.add("recordings.min_free_mib", fmt.Sprintf("%d MiB", n), "use 64 to 1048576")
	}
	if f := c.Media.HoldMusic; f != "" && !filepath.IsAbs(f) {
		p.add("media.hold_music", fmt.Sprintf("%q is not an absolute path", f), "write the full path of the WAV file")
	}
}

// validateListeners finds bad addresses and two listeners that would fight for one port.
func (c *Config) validateListeners(p *problems) {
	type listener struct {
		path, network, addr string
		required            bool
	}
	list := []listener{
		{"webhook.listen", "tcp", c.Webhook.Listen, true},
		{"admin.listen", "tcp", c.Admin.Listen, false},
		{"metrics.listen", "tcp", c.Metrics.Listen, false},
		{"sip.udp", "udp", c.SIP.UDP, false},
		{"sip.tcp", "tcp", c.SIP.TCP, false},
	}
	if c.SIP.UDP == "" && c.SIP.TCP == "" {
		p.add("sip", "both udp and tcp are switched off", "give at least one of them an address")
	}
	taken := make(map[string]listener)
	for _, l := range list {
		if l.addr == "" && !l.required {
			continue
		}
		host, port, err := net.SplitHostPort(l.addr)
		n, numErr := strconv.Atoi(port)
		_, ipErr := netip.ParseAddr(host)
		if err != nil || numErr != nil || n < 0 || n > 65535 || host != "" && ipErr != nil && host != "localhost" {
			p.add(l.path, fmt.Sprintf("%q is not an address to listen on", l.addr), "use :PORT or IP:PORT")
			continue
		}
		if n == 0 {
			continue // the system chooses, so nothing can clash
		}
		if host == "0.0.0.0" || host == "::" {
			host = ""
		}
		for _, h := range []string{host, ""} {
			if other, dup := taken[l.network+h+":"+port]; dup {
				p.add(l.path, fmt.Sprintf("port %s is taken by %s", port, other.path), "give each listener its own port")
				break
			}
		}
		taken[l.network+host+":"+port] = l
		if l.network == "udp" {
			c.checkOutside(p, l.path, n)
		}
	}
}

// checkOutside keeps the SIP port out of the media ranges.
func (c *Config) checkOutside(p *problems, path string, port int) {
	if port >= c.RTP.PortMin && port <= c.RTP.PortMax || port >= c.WebRTC.PortMin && port <= c.WebRTC.PortMax {
		p.add(path, fmt.Sprintf("port %d lies inside a media port range", port), "choose a port outside the rtp and webrtc ranges")
	}
}

func (c *Config) validatePorts(p *problems) {
	rtpOK := checkPorts(p, "rtp", c.RTP.PortMin, c.RTP.PortMax)
	webOK := checkPorts(p, "webrtc", c.WebRTC.PortMin, c.WebRTC.PortMax)
	if rtpOK && c.RTP.PortMin%2 != 0 {
		p.add("rtp.port_min", fmt.Sprintf("%d is odd", c.RTP.PortMin), "RTP uses the even port of each pair, begin with an even one")
	}
	if rtpOK && webOK && c.RTP.PortMin <= c.WebRTC.PortMax && c.WebRTC.PortMin <= c.RTP.PortMax {
		p.add("webrtc.port_min", fmt.Sprintf("the range %d-%d overlaps rtp's %d-%d", c.WebRTC.PortMin, c.WebRTC.PortMax, c.RTP.PortMin, c.RTP.PortMax), "keep the two ranges apart")
	}
	if c.Calls.Max < 1 || c.Calls.Max > maxCalls {
		p.add("calls.max", fmt.Sprintf("%d is out of range", c.Calls.Max), fmt.Sprintf("use 1 to %d", maxCalls))
		return
	}
	if room := (c.RTP.PortMax - c.RTP.PortMin + 1) / (portsPerCall * legsPerCall); rtpOK && room < c.Calls.Max {
		p.add("rtp.port_max", fmt.Sprintf("the range has room for %d calls, calls.max is %d", room, c.Calls.Max), "widen the range (4 ports per call) or lower calls.max")
	}
	if room := c.WebRTC.PortMax - c.WebRTC.PortMin + 1; webOK && room < c.Calls.Max {
		p.add("webrtc.port_max", fmt.Sprintf("the range has room for %d calls, calls.max is %d", room, c.Calls.Max), "widen the range (1 port per call) or lower calls.max")
	}
}

func checkPorts(p *problems, section string, lo, hi int) bool {
	ok := true
	for _, e := range []struct {
		key string
		n   int
	}{{"port_min", lo}, {"port_max", hi}} {
		if e.n < lowestRTP || e.n > 65535 {
			p.add(section+"."+e.key, fmt.Sprintf("%d is not a usable port", e.n), fmt.Sprintf("use %d to 65535", lowestRTP))
			ok = false
		}
	}
	if ok && lo >= hi {
		p.add(section+".port_max", fmt.Sprintf("%d is not above port_min %d", hi, lo), "write the higher port here")
		ok = false
	}
	return ok
}

// checkOneOf checks every option that has a oneof tag, sections included.
func checkOneOf(v reflect.Value, path string, p *problems) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := f.Tag.Get("yaml")
		if key == "" {
			continue
		}
		if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[Secret]() {
			checkOneOf(v.Field(i), join(path, key), p)
		}
		may := strings.HasSuffix(f.Tag.Get("json"), ",omitempty") && v.Field(i).IsZero() // left out: the default
		if list := strings.Fields(f.Tag.Get("oneof")); len(list) > 0 && !may && !slices.Contains(list, v.Field(i).String()) {
			p.add(join(path, key), fmt.Sprintf("%q is not known", v.Field(i).String()), "use "+strings.Join(list, " or "))
		}
	}
}

func checkRange(p *problems, path string, d, lo, hi time.Duration) {
	if d < lo || d > hi {
		p.add(path, fmt.Sprintf("%v is out of range", d), fmt.Sprintf("use %s to %s", short(lo), short(hi)))
	}
}

// short writes 10m0s as 10m, the way people write it.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func checkIP(p *problems, path, s string) {
	if s == "" {
		return
	}
	if ip, err := netip.ParseAddr(s); err != nil || ip.IsUnspecified() || ip.IsMulticast() {
		p.add(path, fmt.Sprintf("%q is not an IP address others can reach", s), "write one address such as 192.0.2.20, or leave it empty")
	}
}

// checkNetwork accepts a CIDR or a single address.
func checkNetwork(p *problems, path, s string) {
	if _, err := ParseNetwork(s); err != nil {
		p.add(path, fmt.Sprintf("%q is not an address or network", s), "write 192.0.2.5 or 192.0.2.0/24 (no bits set behind the mask)")
	}
}

// ParseNetwork reads a CIDR such as 192.0.2.0/24, or a single address as the network that holds only it.
func ParseNetwork(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		if ip.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q has a zone", s)
		}
		return netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()), nil
	}
	n, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	if n != n.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has bits set behind the mask", s)
	}
	return n, nil
}

func checkPair(p *problems, path string, t TLSConfig) {
	switch {
	case t.CertFile == "" && t.KeyFile != "":
		p.add(path+".cert_file", "missing, though key_file is set", "give both files or neither")
	case t.CertFile != "" && t.KeyFile == "":
		p.add(path+".key_file", "missing, though cert_file is set", "give both files or neither")
	}
}

func checkURL(p *problems, path, s string) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		p.add(path, fmt.Sprintf("%q is not a web address", s), "use https://HOST without query or password")
		return
	}
	// The access token travels with every request.
	if ip, ipErr := netip.ParseAddr(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ipErr != nil || !ip.IsLoopback()) {
		p.add(path, "plain http would show the access token to the network", "use https; http is for a simulator on this machine only")
	}
}
