package appliance

import (
	"io"
	"time"
)

// Config is the static file, /etc/deskbridge/deskbridge.yaml: what the process needs before it can open its store. It is
// read once; a change needs a restart. Everything an admin edits while calls run lives in Settings.
//
// The tags are the single source of the defaults, of docs/config.md and of packaging/deskbridge.yaml.
type Config struct {
	DataDir       string        `yaml:"data_dir" default:"/var/lib/deskbridge" doc:"Folder of the store, the keys and the control socket. Must be on a local disk, writable by the service user only."`
	PublicAddress string        `yaml:"public_address" example:"203.0.113.10" doc:"IP address under which Meta and remote phones reach this machine when it stands behind 1:1 NAT. Empty: no NAT. Default for webrtc.public_address; SIP and RTP use their own options."`
	DrainLimit    time.Duration `yaml:"drain_limit" default:"10m" doc:"On SIGTERM: how long running calls may still last before they are ended. At most 10m; TimeoutStopSec of the systemd unit must be longer."`

	Log     LogConfig     `yaml:"log" doc:"What is written to standard error."`
	Webhook WebhookConfig `yaml:"webhook" doc:"The listener Meta calls. It serves GET and POST /webhook/meta and nothing else."`
	Admin   AdminConfig   `yaml:"admin" doc:"The listener for people and supervision on the management network: the API under /api/v1, /healthz and /readyz."`
	Metrics MetricsConfig `yaml:"metrics" doc:"The listener Prometheus scrapes: /metrics."`
	SIP     SIPConfig     `yaml:"sip" doc:"Where trunks and phones reach us."`
	RTP     RTPConfig     `yaml:"rtp" doc:"Audio with trunks and phones: one UDP port pair per SIP leg."`
	WebRTC  WebRTCConfig  `yaml:"webrtc" doc:"Audio with Meta: one UDP socket per call. We send first, so a stateful firewall needs no inbound rule."`
	Graph   GraphConfig   `yaml:"graph" doc:"Meta's Graph API."`
	Calls   CallsConfig   `yaml:"calls" doc:"Limits and timers of a call."`
	Media   MediaConfig   `yaml:"media" doc:"What a customer hears when no agent speaks."`

	Recordings RecordingsConfig `yaml:"recordings" doc:"Where recordings are written. Whether calls are recorded is in the settings document."`

	origin source
}

// LogConfig is the log section of Config.
type LogConfig struct {
	Level  string `yaml:"level" default:"info" oneof:"debug info warn error" doc:"Least severity written. debug shows SIP messages and SDP, which contain phone numbers."`
	Format string `yaml:"format" default:"text" oneof:"text json" doc:"One line per event, in logfmt style (text) or as JSON. Times are UTC."`
}

// WebhookConfig is the webhook section of Config.
type WebhookConfig struct {
	Listen string    `yaml:"listen" default:":8443" doc:"Address and port. Use 127.0.0.1:PORT behind a reverse proxy."`
	TLS    TLSConfig `yaml:"tls" doc:"Meta accepts only HTTPS with a publicly trusted certificate. Without these files the listener speaks plain HTTP, for a reverse proxy in front."`
}

// TLSConfig names a certificate and its key.
type TLSConfig struct {
	CertFile string `yaml:"cert_file" example:"/etc/deskbridge/tls/fullchain.pem" doc:"PEM certificate chain."`
	KeyFile  string `yaml:"key_file" example:"/etc/deskbridge/tls/privkey.pem" doc:"PEM private key, readable by the service user only."`
}

// AdminConfig is the admin section of Config.
type AdminConfig struct {
	Listen         string    `yaml:"listen" default:":8080" doc:"Address and port. Bind it to the management address; never offer it to the internet. Empty switches it off."`
	TLS            TLSConfig `yaml:"tls" doc:"Without these files the listener speaks plain HTTP: for this machine, or a reverse proxy in front."`
	TrustedProxies []string  `yaml:"trusted_proxies" example:"[127.0.0.1, 192.0.2.0/24]" doc:"Reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses or networks. Everybody else's are ignored."`
}

// MetricsConfig is the metrics section of Config.
type MetricsConfig struct {
	Listen string `yaml:"listen" default:"127.0.0.1:9464" doc:"Address and port. Empty switches it off."`
}

// SIPConfig is the sip section of Config.
type SIPConfig struct {
	UDP               string `yaml:"udp" default:":5060" doc:"Address and port for SIP over UDP. Empty switches it off."`
	TCP               string `yaml:"tcp" default:":5060" doc:"Address and port for SIP over TCP. Empty switches it off."`
	Domain            string `yaml:"domain" default:"deskbridge" doc:"Realm of the digest challenge and the domain phones register with. Changing it invalidates nothing on our side, but phones that pin the realm must follow."`
	AdvertisedAddress string `yaml:"advertised_address" example:"192.0.2.20" doc:"IP address put into Contact and Via. Empty: the address of the interface that faces the peer."`
}

// RTPConfig is the rtp section of Config.
type RTPConfig struct {
	PortMin int    `yaml:"port_min" default:"20000" doc:"First UDP port, even."`
	PortMax int    `yaml:"port_max" default:"29999" doc:"Last UDP port, odd."`
	Address string `yaml:"address" example:"192.0.2.20" doc:"IP address put into our SDP. Empty: sip.advertised_address, else the address of the interface that faces the peer."`
}

// WebRTCConfig is the webrtc section of Config.
type WebRTCConfig struct {
	PortMin       int    `yaml:"port_min" default:"40000" doc:"First UDP port."`
	PortMax       int    `yaml:"port_max" default:"49999" doc:"Last UDP port."`
	Address       string `yaml:"address" example:"192.0.2.20" doc:"Our own IP address for media with Meta. Empty: the one the route to Meta uses."`
	PublicAddress string `yaml:"public_address" example:"203.0.113.10" doc:"IP address offered to Meta instead of our own, for 1:1 NAT. Empty: the top-level public_address."`
	IPv6          bool   `yaml:"ipv6" default:"false" doc:"Offer IPv6 candidates too."`
	OutboundSetup string `yaml:"outbound_setup" default:"actpass" oneof:"actpass active" doc:"DTLS role in our offers to Meta (a=setup): actpass lets Meta choose, active makes us the DTLS client."`
}

// GraphConfig is the graph section of Config.
type GraphConfig struct {
	BaseURL string `yaml:"base_url" default:"https://graph.facebook.com" doc:"Where the Graph API is. Change it only for tests against a simulator."`
	Version string `yaml:"version" default:"v25.0" doc:"Graph API version, as in the URL."`
}

// CallsConfig is the calls section of Config.
type CallsConfig struct {
	Max         int           `yaml:"max" default:"100" doc:"Calls at once. The next one is refused: 503 to a phone, reject to Meta. 1 to 5000, and not more than the RTP and WebRTC ranges have room for."`
	RingTimeout time.Duration `yaml:"ring_timeout" default:"25s" doc:"How long phones ring for a customer, unless the line says otherwise. 5s to 55s: Meta gives up at 60 s."`
	DialTimeout time.Duration `yaml:"dial_timeout" default:"60s" doc:"How long a customer's phone rings before an outbound call ends as unanswered. 10s to 60s."`
}

// MediaConfig is the media section of Config.
type MediaConfig struct {
	HoldMusic string `yaml:"hold_music" example:"/etc/deskbridge/hold.wav" doc:"WAV file, 16 bit mono at 8, 16 or 48 kHz, played to a customer on hold. Empty: silence."`
}

// RecordingsConfig is the recordings section of Config.
type RecordingsConfig struct {
	Dir        string `yaml:"dir" example:"/srv/recordings" doc:"Folder of the recordings, best on a disk of its own. Empty: recordings in data_dir. A new folder or disk has to be claimed once: deskbridge recording claim."`
	MinFreeMiB int    `yaml:"min_free_mib" default:"1024" doc:"Recordings end when less is free on that disk. 64 to 1048576."`
}

// DefaultConfig returns the configuration of an empty file.
func DefaultConfig() *Config {
	c := new(Config)
	setDefaults(c)
	return c
}

// ParseConfig reads a static file; name stands in error messages. The error joins every problem found, each a
// *ConfigError, not just the first. An empty file is valid.
func ParseConfig(r io.Reader, name string) (*Config, error) {
	c := DefaultConfig()
	p := &problems{file: name}
	c.origin = decodeYAML(r, c, p)
	if err := p.err(); err != nil {
		// Values that could not be read kept their defaults, so whatever else is wrong with the file shows as well.
		c.validate(p)
		return nil, p.err()
	}
	c.validate(p)
	if err := p.err(); err != nil {
		return nil, err
	}
	c.resolve()
	return c, nil
}

// Validate reports every problem of a configuration, however it was made.
func (c *Config) Validate() error {
	p := &problems{file: c.origin.file, lines: c.origin.lines}
	c.validate(p)
	return p.err()
}

// resolve fills in the options whose default is another option.
func (c *Config) resolve() {
	if c.WebRTC.PublicAddress == "" {
		c.WebRTC.PublicAddress = c.PublicAddress
	}
	if c.RTP.Address == "" {
		c.RTP.Address = c.SIP.AdvertisedAddress
	}
}
