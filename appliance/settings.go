package appliance

import (
	"io"
	"slices"
	"strings"
	"time"

	"deskbridge/media"
)

// Settings is the dynamic document: what an admin edits while calls run. It is replaced as a whole; a running call keeps
// the settings it began under.
type Settings struct {
	Lines  []Line  `yaml:"lines" json:"lines" doc:"WhatsApp business numbers."`
	Trunks []Trunk `yaml:"trunks" json:"trunks" doc:"Links to PBXs."`
	Phones []Phone `yaml:"phones" json:"phones" doc:"Phones and softphones that register straight to the appliance."`

	Policy PolicySettings `yaml:"policy" json:"policy" doc:"How often customers may be asked and called, on every line that says nothing else. Never looser than Meta's own limits."`
	Codes  []FeatureCode  `yaml:"codes" json:"codes,omitempty" doc:"Feature codes that agents dial. Empty: the built-in ones, see the operator's handbook."`

	Recording RecordingSettings `yaml:"recording" json:"recording,omitzero" doc:"How long recordings are kept, and who else may open them."`

	origin source
}

// Line is one WhatsApp business number.
type Line struct {
	ID            string `yaml:"id" json:"id" example:"sales" doc:"Name of the line in routes, logs and metrics: a-z, 0-9 and -, at most 32. Never reuse it for another number."`
	Name          string `yaml:"name" json:"name,omitempty" example:"Sales" doc:"What phones and people read. Empty: the id."`
	Enabled       bool   `yaml:"enabled" json:"enabled" default:"true" doc:"Off: inbound calls are rejected, outbound calls refused."`
	PhoneNumberID string `yaml:"phone_number_id" json:"phone_number_id" example:"\"700800900100200\"" doc:"Meta's ID of the number (WhatsApp Manager, API setup)."`
	WABAID        string `yaml:"waba_id" json:"waba_id,omitempty" example:"\"900100200300400\"" doc:"Meta's ID of the WhatsApp business account."`
	DisplayNumber string `yaml:"display_number" json:"display_number,omitempty" example:"\"+62 21 5550 100\"" doc:"The number as people dial it, with + and country code."`
	Country       string `yaml:"country" json:"country,omitempty" example:"ID" doc:"Two-letter region in which numbers dialled without + are read. Empty: only numbers with + or the full country code work."`
	AppID         string `yaml:"app_id" json:"app_id,omitempty" example:"\"100200300400500\"" doc:"Meta's ID of the app whose webhooks we get."`
	AppSecret     Secret `yaml:"app_secret" json:"app_secret" example:"file:/etc/deskbridge/secrets/app_secret" doc:"App secret: webhooks are verified with it."`
	VerifyToken   Secret `yaml:"verify_token" json:"verify_token" example:"file:/etc/deskbridge/secrets/verify_token" doc:"Word of your choice, entered in Meta's webhook form as well."`
	AccessToken   Secret `yaml:"access_token" json:"access_token" example:"file:/etc/deskbridge/secrets/access_token" doc:"System user token with whatsapp_business_messaging and whatsapp_business_management."`
	GraphBaseURL  string `yaml:"graph_base_url" json:"graph_base_url,omitempty" doc:"Overrides graph.base_url of the static file for this line."`

	Language   string `yaml:"language" json:"language,omitempty" default:"en" oneof:"en id" doc:"What the line's customers are spoken and written to in: en or id."`
	TestNumber bool   `yaml:"test_number" json:"test_number,omitempty" default:"false" doc:"One of Meta's test numbers, whose limits are wider."`

	Inbound  InboundRoute    `yaml:"inbound" json:"inbound" doc:"Calls from customers."`
	Outbound OutboundRoute   `yaml:"outbound" json:"outbound" doc:"Calls to customers."`
	Hours    HoursSettings   `yaml:"hours" json:"hours,omitzero" doc:"When customers may call. Without a time zone: always."`
	Policy   LinePolicy      `yaml:"policy" json:"policy,omitzero" doc:"Limits of this line, if not those of the top level."`
	Messages MessageSettings `yaml:"messages" json:"messages,omitzero" doc:"The words the line sends in chat."`
	Meta     MetaSettings    `yaml:"meta" json:"meta,omitzero" doc:"How the number's calling settings at Meta are to be. What is empty is left alone."`

	Recording LineRecording `yaml:"recording" json:"recording,omitzero" doc:"Whether calls are recorded."`
}

// InboundRoute says who is rung when a customer calls a line.
type InboundRoute struct {
	Enabled         bool          `yaml:"enabled" json:"enabled" default:"true" doc:"Off: inbound calls are rejected."`
	Ring            []string      `yaml:"ring" json:"ring,omitempty" example:"[phone:1001, trunk:pbx/200]" doc:"Who rings, all at once; the first to answer gets the call. phone:EXTENSION or trunk:NAME/NUMBER."`
	RingTimeout     time.Duration `yaml:"ring_timeout" json:"ring_timeout,omitempty" default:"0s" doc:"5s to 55s; 0s: calls.ring_timeout of the static file."`
	Overflow        []string      `yaml:"overflow" json:"overflow,omitempty" example:"[phone:1009]" doc:"Who rings when nobody of ring took the call: the super agents."`
	OverflowTimeout time.Duration `yaml:"overflow_timeout" json:"overflow_timeout,omitempty" default:"0s" doc:"How long they ring. 5s to 55s; 0s: 20s."`
	Menu            bool          `yaml:"menu" json:"menu" default:"true" doc:"When nobody takes the call, a voice says so and takes a callback request. Off: the call just ends."`
	CallbackWithin  time.Duration `yaml:"callback_within" json:"callback_within,omitempty" default:"0s" doc:"How soon, counted in call hours, a customer who asked is to be called back. 0s: 2h."`
}

// OutboundRoute says whether and how customers are dialled over a line.
type OutboundRoute struct {
	Enabled bool   `yaml:"enabled" json:"enabled" default:"true" doc:"Off: nobody can dial customers over this line."`
	Prefix  string `yaml:"prefix" json:"prefix,omitempty" example:"\"9\"" doc:"Digits that choose this line when an agent puts them before the number. Empty: the line is reached only as the default line of a trunk or phone."`
}

// Trunk is a link to a PBX.
type Trunk struct {
	Name       string        `yaml:"name" json:"name" example:"pbx" doc:"Name in routes, logs and metrics: a-z, 0-9 and -, at most 32."`
	Enabled    bool          `yaml:"enabled" json:"enabled" default:"true" doc:"Off: not registered, not rung, its calls refused."`
	Host       string        `yaml:"host" json:"host,omitempty" example:"192.0.2.5" doc:"Address or name of the PBX. Empty with addresses set: the PBX calls us, we never call it."`
	Port       int           `yaml:"port" json:"port" default:"5060" doc:"SIP port of the PBX."`
	Transport  string        `yaml:"transport" json:"transport" default:"udp" oneof:"udp tcp" doc:"How we reach it."`
	Addresses  []string      `yaml:"addresses" json:"addresses,omitempty" example:"[192.0.2.5]" doc:"Addresses or networks (CIDR) from which its calls are accepted without a password. RTP is accepted from here too. Empty: only host, when host is an IP address."`
	Register   bool          `yaml:"register" json:"register" default:"false" doc:"We register with the PBX, as a phone does."`
	Domain     string        `yaml:"domain" json:"domain,omitempty" doc:"Domain of the account when it is not host."`
	Username   string        `yaml:"username" json:"username,omitempty" example:"deskbridge" doc:"Our account at the PBX."`
	AuthUser   string        `yaml:"auth_user" json:"auth_user,omitempty" doc:"Name in the digest when it is not username."`
	Password   Secret        `yaml:"password" json:"password,omitzero" example:"file:/etc/deskbridge/secrets/pbx" doc:"Answers the PBX's digest challenges."`
	Expires    time.Duration `yaml:"expires" json:"expires" default:"5m" doc:"Registration time asked for, 1m to 1h. The PBX may shorten it."`
	Codecs     []string      `yaml:"codecs" json:"codecs,omitempty" example:"[PCMA, G722, opus]" doc:"PCMA, PCMU, G722, opus in the order preferred. Empty: opus, G722, PCMA, PCMU."`
	PTime      time.Duration `yaml:"ptime" json:"ptime" default:"20ms" doc:"Length of the packets we send, 10ms to 60ms in steps of 10ms."`
	Extensions []string      `yaml:"extensions" json:"extensions,omitempty" example:"[2xx]" doc:"Internal numbers of the PBX that calls may go to; x stands for any digit. Calls never leave the company over a trunk."`
	Line       string        `yaml:"line" json:"line,omitempty" example:"sales" doc:"Line of calls that come from this trunk without a line's prefix. Empty: the prefix is needed."`
	Lines      []string      `yaml:"lines" json:"lines,omitempty" example:"[sales]" doc:"Lines this trunk may dial over. Empty: only its default line."`
	Refusal    string        `yaml:"refusal" json:"refusal,omitempty" default:"menu" oneof:"menu announce reject" doc:"What a caller hears whose customer may not be called: a menu that says why and what next; an announcement of the reason without being answered, then the SIP refusal 403; or just the refusal."`
	Language   string        `yaml:"language" json:"language,omitempty" default:"en" oneof:"en id" doc:"Language of the menus its callers hear."`
}

// Phone is a telephone that registers straight to the appliance.
type Phone struct {
	Extension  string        `yaml:"extension" json:"extension" example:"\"1001\"" doc:"Its number and user name, 2 to 8 digits."`
	Name       string        `yaml:"name" json:"name,omitempty" example:"Ayu" doc:"Who uses it."`
	Enabled    bool          `yaml:"enabled" json:"enabled" default:"true" doc:"Off: it can neither register nor call."`
	Password   Secret        `yaml:"password" json:"password" example:"file:/etc/deskbridge/secrets/1001" doc:"At least 8 characters."`
	Codecs     []string      `yaml:"codecs" json:"codecs,omitempty" doc:"As for trunks."`
	PTime      time.Duration `yaml:"ptime" json:"ptime" default:"20ms" doc:"As for trunks."`
	Line       string        `yaml:"line" json:"line,omitempty" example:"sales" doc:"Line of its calls without a line's prefix."`
	Lines      []string      `yaml:"lines" json:"lines,omitempty" doc:"Lines it may dial over. Empty: only its default line."`
	Refusal    string        `yaml:"refusal" json:"refusal,omitempty" default:"menu" oneof:"menu announce reject" doc:"As for trunks."`
	Language   string        `yaml:"language" json:"language,omitempty" default:"en" oneof:"en id" doc:"Language of the menus it hears."`
	Supervisor bool          `yaml:"supervisor" json:"supervisor,omitempty" default:"false" doc:"May open and close lines by feature code."`
}

// ParseSettings reads a settings document; name stands in error messages. The error joins every problem found, each a
// *ConfigError. References to secrets are not followed: that needs the daemon's eyes, see Resolve.
func ParseSettings(r io.Reader, name string) (*Settings, error) {
	s := new(Settings)
	p := &problems{file: name}
	s.origin = decodeYAML(r, s, p)
	s.validate(p)
	if err := p.err(); err != nil {
		return nil, err
	}
	return s, nil
}

// Validate reports every problem of the settings, however they were made.
func (s *Settings) Validate() error {
	p := &problems{file: s.origin.file, lines: s.origin.lines}
	s.validate(p)
	return p.err()
}

// Label is what people read: the name, or the ID when there is none.
func (l Line) Label() string {
	if l.Name != "" {
		return l.Name
	}
	return l.ID
}

// Internal reports whether number matches one of the trunk's internal patterns. Only such numbers are ever dialled over
// a trunk: WhatsApp calls must not reach the public telephone network.
func (t Trunk) Internal(number string) bool {
	return slices.ContainsFunc(t.Extensions, func(pattern string) bool { return matchExtension(pattern, number) })
}

func matchExtension(pattern, number string) bool {
	if len(pattern) != len(number) {
		return false
	}
	for i := range len(pattern) {
		digit := number[i] >= '0' && number[i] <= '9'
		wild := pattern[i] == 'x' || pattern[i] == 'X'
		if !(wild && digit) && pattern[i] != number[i] {
			return false
		}
	}
	return true
}

// DefaultCodecs is the order for trunks and phones that name none: best audio first.
var DefaultCodecs = []media.Codec{media.Opus, media.G722, media.PCMA, media.PCMU}

// MediaCodecs returns the trunk's codecs in its order.
func (t Trunk) MediaCodecs() []media.Codec { return parseCodecs(t.Codecs) }

// MediaCodecs returns the phone's codecs in its order.
func (p Phone) MediaCodecs() []media.Codec { return parseCodecs(p.Codecs) }

func parseCodecs(names []string) []media.Codec {
	if len(names) == 0 {
		return slices.Clone(DefaultCodecs)
	}
	list := make([]media.Codec, 0, len(names))
	for _, n := range names {
		if c := media.ParseCodec(strings.TrimSpace(n)); c != media.CodecNone {
			list = append(list, c)
		}
	}
	return list
}

// MayDial reports whether a trunk or phone with this default line and list may use the line.
func mayDial(line, def string, list []string) bool { return line == def || slices.Contains(list, line) }

// MayDial reports whether calls from the trunk may go over the line.
func (t Trunk) MayDial(line string) bool { return line != "" && mayDial(line, t.Line, t.Lines) }

// MayDial reports whether calls from the phone may go over the line.
func (p Phone) MayDial(line string) bool { return line != "" && mayDial(line, p.Line, p.Lines) }
