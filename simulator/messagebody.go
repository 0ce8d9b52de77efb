package simulator

import (
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// messageBody is what is looked at of POST /{PNID}/messages (§11).
type messageBody struct {
	Product       string           `json:"messaging_product"`
	RecipientType string           `json:"recipient_type"`
	To            string           `json:"to"`
	Recipient     string           `json:"recipient"`
	Type          string           `json:"type"`
	Status        string           `json:"status"`
	MessageID     string           `json:"message_id"`
	Opaque        string           `json:"biz_opaque_callback_data"`
	Text          *textBody        `json:"text"`
	Interactive   *interactiveBody `json:"interactive"`
	Template      *templateSend    `json:"template"`
}

type textBody struct {
	Body string `json:"body"`
}

type interactiveBody struct {
	Type   string `json:"type"`
	Action struct {
		Name       string `json:"name"`
		Parameters struct {
			DisplayText string `json:"display_text"`
			TTL         *int   `json:"ttl_minutes"`
			Payload     string `json:"payload"`
		} `json:"parameters"`
	} `json:"action"`
	Body *struct {
		Text string `json:"text"`
	} `json:"body"`
	Header any `json:"header"`
	Footer any `json:"footer"`
}

// templateSend is the template object of a message (§12.3, §12.4).
type templateSend struct {
	Name     string `json:"name"`
	Language struct {
		Code string `json:"code"`
	} `json:"language"`
	Components []sendComponent `json:"components"`
}

type sendComponent struct {
	Type       string          `json:"type"`
	SubType    string          `json:"sub_type"`
	Index      json.RawMessage `json:"index"` // a number or a string; the documentation leaves it out
	Parameters []sendParameter `json:"parameters"`
}

type sendParameter struct {
	Type    string `json:"type"`
	Name    string `json:"parameter_name"`
	Text    string `json:"text"`
	TTL     *int   `json:"ttl_minutes"`
	Payload string `json:"payload"`
}

const (
	maxText       = 4096
	maxButtonText = 20
	defaultTTL    = 10080 // minutes
	defaultButton = "Call Now"
)

var messageTypes = []string{"text", "interactive", "template", "audio", "document", "image", "video", "sticker", "location", "contacts", "reaction"}

func checkMessage(b *messageBody, who string) *graphError {
	switch {
	case who == "":
		return refuse(100, "The parameter to or recipient is required")
	case b.RecipientType != "" && b.RecipientType != "individual":
		return refuse(100, "recipient_type must be individual")
	case b.Type == "" && b.Text != nil:
		b.Type = "text"
	case !slices.Contains(messageTypes, b.Type):
		return refuse(131051, "Message type %q is not supported", cut(b.Type, 64))
	}
	if len(b.Opaque) > maxOpaque {
		return refuse(100, "Param biz_opaque_callback_data must be at most %d characters long", maxOpaque)
	}
	switch b.Type {
	case "text":
		if b.Text == nil || b.Text.Body == "" || utf8.RuneCountInString(b.Text.Body) > maxText {
			return refuse(100, "text.body is required and must be at most %d characters long", maxText)
		}
	case "template":
		if b.Template == nil || b.Template.Name == "" || b.Template.Language.Code == "" {
			return refuse(131008, "template.name and template.language.code are required")
		}
	case "interactive":
		return checkInteractive(b.Interactive)
	}
	return nil
}

func checkInteractive(i *interactiveBody) *graphError {
	if i == nil || i.Type == "" {
		return refuse(131008, "interactive.type is required")
	}
	p := i.Action.Parameters
	switch i.Type {
	case "call_permission_request":
		switch {
		case i.Action.Name != "call_permission_request":
			return refuse(131009, "action.name must be call_permission_request")
		case i.Header != nil || i.Footer != nil:
			return refuse(131009, "header and footer are not allowed in a call_permission_request")
		}
	case "voice_call":
		switch {
		case i.Action.Name != "voice_call" || i.Body == nil || i.Body.Text == "":
			return refuse(131009, "voice_call needs a body text and action.name voice_call")
		case utf8.RuneCountInString(p.DisplayText) > maxButtonText:
			return refuse(131009, "display_text must be at most %d characters long", maxButtonText)
		case utf8.RuneCountInString(p.Payload) > maxOpaque:
			return refuse(131009, "payload must be at most %d characters long", maxOpaque)
		case p.TTL != nil && (*p.TTL < 1 || *p.TTL > maxTTL):
			return refuse(131009, "ttl_minutes must be 1 to %d", maxTTL)
		}
	}
	return nil
}
