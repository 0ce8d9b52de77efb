package sip

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deskbridge/bridge"
	"deskbridge/media"
)

// Config is what an Endpoint needs to exist. It is read once.
type Config struct {
	// UDP and TCP are listen addresses, host:port; port 0 takes a free one.
	UDP, TCP []string
	// PublicAddress is what peers outside the local networks see of us (1:1 NAT). Zero: our own address.
	PublicAddress netip.Addr
	UserAgent     string // default "deskbridge"
	// Realm is the digest realm phones log in to, default "deskbridge".
	Realm       string
	Switchboard bridge.Switchboard
	Media       MediaConfig
	// MaxCalls is the rated number of SIP legs; beyond it new INVITEs are answered 503. Zero: 500.
	MaxCalls   int
	Resolver   Resolver // default net.DefaultResolver
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	Now        func() time.Time // wall clock, default time.Now
}

func (c Config) withDefaults() Config {
	if c.UserAgent == "" {
		c.UserAgent = "deskbridge"
	}
	if c.Realm == "" {
		c.Realm = "deskbridge"
	}
	if c.MaxCalls == 0 {
		c.MaxCalls = 500
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Secret is a password. Its String, JSON, log and %v forms say "redacted".
type Secret string

const redacted = "redacted"

// String hides the secret.
func (Secret) String() string { return redacted }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return redacted }

// MarshalText hides the secret from JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the secret from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Settings is what can change while calls run.
type Settings struct {
	Trunks []TrunkConfig
	Phones []PhoneConfig
}

// TrunkConfig is one link to a PBX or provider.
type TrunkConfig struct {
	Name      string
	Host      string // name or address; empty, with Addresses: the peer calls us and is never called
	Port      int    // 0: SRV, then 5060
	Transport string // "udp" (default) or "tcp"
	// Addresses are the networks whose requests are taken as coming from this trunk. Empty: the addresses Host resolves to.
	Addresses []netip.Prefix
	// Register sends REGISTER to the trunk and keeps it alive.
	Register bool
	Domain   string // of our account, default Host
	Username string // user part of our address at the trunk
	AuthUser string // digest user name, default Username
	Password Secret
	Expires  time.Duration // asked for, default 300 s
	Codecs   []media.Codec // preferred first; empty: PCMA, PCMU, G722, Opus
	PTime    time.Duration // default 20 ms
	// DialPattern says which targets may be dialled through the trunk: comma-separated patterns of digits, X (0–9), Z (1–9),
	// N (2–9) and a final "." (one or more digits), or literal names. Empty: extensions of up to six digits.
	DialPattern string
	// NoPing switches the OPTIONS ping off, for peers that do not answer it; the trunk then counts as up.
	NoPing bool
	// Line is the WhatsApp line calls from this trunk use unless the dial plan chooses one.
	Line string
}

// PhoneConfig is one account that may register with us.
type PhoneConfig struct {
	User     string // extension and digest user name
	Password Secret
	Codecs   []media.Codec
	PTime    time.Duration
	Line     string
}

var defaultCodecs = []media.Codec{media.PCMA, media.PCMU, media.G722, media.Opus}

func (t TrunkConfig) withDefaults() TrunkConfig {
	if t.Transport == "" {
		t.Transport = "udp"
	}
	if t.AuthUser == "" {
		t.AuthUser = t.Username
	}
	if t.Expires == 0 {
		t.Expires = 300 * time.Second
	}
	t.Codecs, t.PTime = mediaDefaults(t.Codecs, t.PTime)
	return t
}

func (p PhoneConfig) withDefaults() PhoneConfig {
	p.Codecs, p.PTime = mediaDefaults(p.Codecs, p.PTime)
	return p
}

func mediaDefaults(c []media.Codec, p time.Duration) ([]media.Codec, time.Duration) {
	if len(c) == 0 {
		c = defaultCodecs
	}
	if p == 0 {
		p = 20 * time.Millisecond
	}
	return slices.Clone(c), p
}

// Validate returns every problem at once, each with its path.
func (s Settings) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	names := map[string]bool{}
	for i, t := range s.Trunks {
		at := fmt.Sprintf("trunks[%d]", i)
		if t.Name == "" || names[t.Name] {
			bad("%s.name: must be set and unique, is %q", at, t.Name)
		}
		names[t.Name] = true
		if !plainText(t.Host) {
			bad("%s.host: must be a name or address, is %q", at, t.Host)
		}
		if t.Host == "" && (len(t.Addresses) == 0 || t.Register) {
			bad("%s.host: must be set where no addresses are, or to register", at)
		}
		if t.Port < 0 || t.Port > 65535 {
			bad("%s.port: must be 0 to 65535, is %d", at, t.Port)
		}
		if t.Transport != "" && t.Transport != "udp" && t.Transport != "tcp" {
			bad("%s.transport: must be udp or tcp, is %q", at, t.Transport)
		}
		if !plainText(t.Domain) {
			bad("%s.domain: must be a name or address, is %q", at, t.Domain)
		}
		if !plainText(t.Username) || !plainText(t.AuthUser) {
			bad("%s.username: must have no spaces, quotes or control characters", at)
		}
		if t.Register && (t.Username == "" || t.Password == "") {
			bad("%s.register: needs username and password", at)
		}
		if t.Expires != 0 && (t.Expires < time.Minute || t.Expires > 24*time.Hour) {
			bad("%s.expires: must be 1m to 24h, is %s", at, t.Expires)
		}
		errs = append(errs, checkMedia(at, t.Codecs, t.PTime)...)
	}
	users := map[string]bool{}
	for i, p := range s.Phones {
		at := fmt.Sprintf("phones[%d]", i)
		if p.User == "" || !plainText(p.User) || users[p.User] {
			bad("%s.user: must be set, unique and without spaces, quotes or @, is %q", at, p.User)
		}
		users[p.User] = true
		if p.Password == "" {
			bad("%s.password: must be set", at)
		}
		errs = append(errs, checkMedia(at, p.Codecs, p.PTime)...)
	}
	return errors.Join(errs...)
}

func checkMedia(at string, codecs []media.Codec, ptime time.Duration) []error {
	var errs []error
	for j, c := range codecs {
		if c == media.CodecNone || c > media.Opus {
			errs = append(errs, fmt.Errorf("%s.codecs[%d]: unknown codec", at, j))
		}
	}
	if ptime != 0 && (ptime < 10*time.Millisecond || ptime > 60*time.Millisecond || ptime%(10*time.Millisecond) != 0) {
		errs = append(errs, fmt.Errorf("%s.ptime: must be 10, 20, 30, 40, 50 or 60 ms, is %s", at, ptime))
	}
	return errs
}

// plainText is text that may stand in a URI as it is.
func plainText(s string) bool {
	return len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"<>@;?,\`, r)
	})
}
