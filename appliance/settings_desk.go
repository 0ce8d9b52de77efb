package appliance

import (
	"fmt"
	"strings"
	"time"

	"deskbridge/frontdesk"
	"deskbridge/ivr"
	"deskbridge/policy"
)

// MessageSettings are the words a line sends. Empty texts are the built-in ones of the line's language.
type MessageSettings struct {
	Ask            string           `yaml:"ask" json:"ask,omitempty" doc:"Text of a permission request inside the 24-hour window."`
	AskTemplate    TemplateSettings `yaml:"ask_template" json:"ask_template,omitzero" doc:"Approved template with a call permission request, for customers outside the 24-hour window."`
	Closed         string           `yaml:"closed" json:"closed,omitempty" doc:"Text to a customer who calls outside call hours, once per closed time. \"-\" sends nothing."`
	Button         string           `yaml:"button" json:"button,omitempty" doc:"Text above a call button."`
	ButtonLabel    string           `yaml:"button_label" json:"button_label,omitempty" doc:"Label of the call button, at most 20 characters."`
	ButtonTTL      time.Duration    `yaml:"button_ttl" json:"button_ttl,omitempty" default:"0s" doc:"How long the button works, 1m to 720h. 0s: 24h."`
	ButtonTemplate TemplateSettings `yaml:"button_template" json:"button_template,omitzero" doc:"Approved template with a call button, for customers outside the 24-hour window."`
}

// TemplateSettings name a template at Meta.
type TemplateSettings struct {
	Name       string   `yaml:"name" json:"name,omitempty" example:"ask_to_call" doc:"Name at Meta."`
	Language   string   `yaml:"language" json:"language,omitempty" example:"id" doc:"Language at Meta. Empty: whichever is approved."`
	Parameters []string `yaml:"parameters" json:"parameters,omitempty" doc:"What fills the placeholders of its body, in order."`
}

// MetaSettings are how a number's settings at Meta are to be.
type MetaSettings struct {
	Calling            string   `yaml:"calling" json:"calling,omitempty" oneof:"enabled disabled" doc:"Calling on the number."`
	Icons              string   `yaml:"icons" json:"icons,omitempty" oneof:"default disable_all" doc:"Whether customers see the call icons."`
	CallbackPermission string   `yaml:"callback_permission" json:"callback_permission,omitempty" oneof:"enabled disabled" doc:"A customer who calls us allows us to call back, for 7 days."`
	Codecs             []string `yaml:"codecs" json:"codecs,omitempty" doc:"Codecs besides Opus: PCMA, PCMU."`
	Hours              bool     `yaml:"hours" json:"hours,omitempty" default:"false" doc:"Meta shows the call hours and keeps calls outside them away. They are enforced here in any case."`
	Enforce            bool     `yaml:"enforce" json:"enforce,omitempty" default:"false" doc:"What somebody else changes at Meta is set back. Off: it is reported, and deskbridge line apply or adopt settles it."`
}

// FeatureCode is what agents dial for a feature.
type FeatureCode struct {
	Feature string `yaml:"feature" json:"feature" doc:"The feature."`
	Digits  string `yaml:"digits" json:"digits" example:"\"*40\"" doc:"What is dialled for it."`
}

// The built-in texts, by language.
var builtInTexts = map[string]frontdesk.Texts{
	"en": {
		Ask:         "May we call you on WhatsApp?",
		Closed:      "We are currently unavailable because it's outside our calling hours. Please request a callback and we'll get back to you as soon as possible.",
		Button:      "Tap the button to call us on WhatsApp.",
		ButtonLabel: "Call now",
	},
	"id": {
		Ask:         "Bolehkah kami menelepon Anda lewat WhatsApp?",
		Closed:      "Saat ini kami tidak dapat menerima panggilan karena di luar jam layanan telepon. Silakan minta panggilan balik dan kami akan menghubungi Anda sesegera mungkin.",
		Button:      "Ketuk tombol untuk menelepon kami lewat WhatsApp.",
		ButtonLabel: "Telepon sekarang",
	},
}

const (
	defaultCallbackWithin = 2 * time.Hour
	defaultButtonTTL      = 24 * time.Hour
)

// LineHours are a line's call hours.
func (l Line) LineHours() policy.Hours { return l.Hours.hours(func(string, string, string) {}) }

// desk is the line as the front desk wants it; number is what stands for it at Meta.
func (s *Settings) desk(l Line, number frontdesk.Number) (frontdesk.LineConfig, error) {
	rules, err := s.Rules(l)
	if err != nil {
		return frontdesk.LineConfig{}, fmt.Errorf("line %q: %w", l.ID, err)
	}
	texts, ok := builtInTexts[l.Language]
	if !ok {
		texts = builtInTexts["en"]
	}
	texts.Ask, texts.Button, texts.ButtonLabel = firstOf(l.Messages.Ask, texts.Ask), firstOf(l.Messages.Button, texts.Button), firstOf(l.Messages.ButtonLabel, texts.ButtonLabel)
	if texts.Closed = firstOf(l.Messages.Closed, texts.Closed); texts.Closed == "-" {
		texts.Closed = ""
	}
	c := frontdesk.LineConfig{
		ID: l.ID, Name: l.Label(), Number: number, Language: firstOf(l.Language, "en"),
		Enabled: l.Enabled, Inbound: l.Inbound.Enabled, Outbound: l.Outbound.Enabled,
		Hours: l.LineHours(), Mode: frontdesk.HoursMode(firstOf(l.Hours.Outside, string(frontdesk.ModePrompt))), Rules: rules, Texts: texts,
		AskTemplate: l.Messages.AskTemplate.template(), ButtonTemplate: l.Messages.ButtonTemplate.template(),
		ButtonTTL: l.Messages.ButtonTTL, CallbackWithin: l.Inbound.CallbackWithin,
		Wanted: frontdesk.Wanted{
			Calling: strings.ToUpper(l.Meta.Calling), Icons: strings.ToUpper(l.Meta.Icons), Callback: strings.ToUpper(l.Meta.CallbackPermission),
			Codecs: l.Meta.Codecs, Hours: l.Meta.Hours, Enforce: l.Meta.Enforce,
		},
	}
	if c.ButtonTTL == 0 {
		c.ButtonTTL = defaultButtonTTL
	}
	if c.CallbackWithin == 0 {
		c.CallbackWithin = defaultCallbackWithin
	}
	return c, nil
}

func (t TemplateSettings) template() frontdesk.Template {
	return frontdesk.Template{Name: t.Name, Language: t.Language, Parameters: t.Parameters}
}

// featureCodes are the codes in force.
func (s *Settings) featureCodes() ivr.Codes {
	if len(s.Codes) == 0 {
		return ivr.DefaultCodes
	}
	codes := make(ivr.Codes, 0, len(s.Codes))
	for _, c := range s.Codes {
		codes = append(codes, ivr.Code{Digits: c.Digits, Feature: ivr.Feature(c.Feature)})
	}
	return codes
}

// prefixes are what chooses a line when it is dialled before a number.
func (s *Settings) prefixes() []string {
	var out []string
	for _, l := range s.Lines {
		if l.Outbound.Prefix != "" {
			out = append(out, l.Outbound.Prefix)
		}
	}
	return out
}
