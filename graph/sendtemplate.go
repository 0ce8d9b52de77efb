package graph

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// maxParameters bounds the placeholders of one template text; Meta's own texts end long before.
const maxParameters = 64

// Parameter fills one placeholder of a template. Name is empty for positional placeholders, which is the default (§12.1).
type Parameter struct {
	Name string
	Text string
}

// Positional makes the parameters {{1}}, {{2}}, … of a template.
func Positional(texts ...string) []Parameter {
	list := make([]Parameter, len(texts))
	for i, t := range texts {
		list[i].Text = t
	}
	return list
}

// TemplateButton overrides what a template's call button was created with (§12.4).
type TemplateButton struct {
	Index   int           // of the button among the template's, from 0
	TTL     time.Duration // whole minutes from 1 min to 30 days; 0 leaves the template's
	Payload string        // at most 512 bytes
}

// TemplateMessage is an approved template and what fills it. Language must be the template's own.
type TemplateMessage struct {
	Name     string
	Language string
	Header   []Parameter
	Body     []Parameter
	Button   *TemplateButton // nil leaves a call button as it was created
}

type templateBody struct {
	Name     string `json:"name"`
	Language struct {
		Code string `json:"code"`
	} `json:"language"`
	Components []componentJSON `json:"components,omitempty"`
}

type componentJSON struct {
	Type       string          `json:"type"`
	SubType    string          `json:"sub_type,omitempty"`
	Index      string          `json:"index,omitempty"` // a string, "0"
	Parameters []parameterJSON `json:"parameters"`
}

type parameterJSON struct {
	Type    string `json:"type"`
	Name    string `json:"parameter_name,omitempty"`
	Text    string `json:"text,omitempty"`
	TTL     int64  `json:"ttl_minutes,omitempty"`
	Payload string `json:"payload,omitempty"`
}

// SendTemplate sends a template, the one kind of message that goes out while the 24-hour window is closed. A permission
// request needs nothing for its special component (§12.3). Whether the template is approved is the caller's to know: Meta
// answers Error.TemplateProblem.
func (c *Client) SendTemplate(ctx context.Context, number string, who Recipient, m TemplateMessage, opts ...MessageOption) (wamid string, err error) {
	b, err := m.body()
	if err != nil {
		return "", fmt.Errorf("send template %q: %w", clip(m.Name, maxTemplateName), err)
	}
	return c.send(ctx, "send_template", number, who, messageBody{Type: "template", Template: b}, opts)
}

func (m TemplateMessage) body() (*templateBody, error) {
	if err := errors.Join(checkName(m.Name), checkLanguage(m.Language)); err != nil {
		return nil, err
	}
	b := &templateBody{Name: m.Name}
	b.Language.Code = m.Language
	for _, part := range []struct {
		kind string
		list []Parameter
	}{{"header", m.Header}, {"body", m.Body}} {
		if len(part.list) == 0 {
			continue
		}
		parameters, err := textParameters(part.list)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.kind, err)
		}
		b.Components = append(b.Components, componentJSON{Type: part.kind, Parameters: parameters})
	}
	if m.Button == nil {
		return b, nil
	}
	button, err := m.Button.component()
	if err != nil {
		return nil, err
	}
	if len(button.Parameters) > 0 {
		b.Components = append(b.Components, button)
	}
	return b, nil
}

func textParameters(list []Parameter) ([]parameterJSON, error) {
	if len(list) > maxParameters {
		return nil, fmt.Errorf("%w: %d parameters, allowed are %d", ErrContent, len(list), maxParameters)
	}
	out := make([]parameterJSON, len(list))
	for i, p := range list {
		if n := utf8.RuneCountInString(p.Text); n == 0 || n > maxText {
			return nil, fmt.Errorf("%w: parameter %d has %d characters, allowed are 1 to %d", ErrContent, i+1, n, maxText)
		}
		out[i] = parameterJSON{Type: "text", Name: p.Name, Text: p.Text}
	}
	return out, nil
}

func (b TemplateButton) component() (componentJSON, error) {
	if err := checkButton(b.TTL, b.Payload); err != nil {
		return componentJSON{}, err
	}
	if b.Index < 0 || b.Index >= maxButtons {
		return componentJSON{}, fmt.Errorf("%w: button %d, a template has at most %d", ErrContent, b.Index, maxButtons)
	}
	k := componentJSON{Type: "button", SubType: "voice_call", Index: strconv.Itoa(b.Index)}
	if b.TTL > 0 {
		k.Parameters = append(k.Parameters, parameterJSON{Type: "ttl_minutes", TTL: int64(b.TTL / time.Minute)})
	}
	if b.Payload != "" {
		k.Parameters = append(k.Parameters, parameterJSON{Type: "payload", Payload: b.Payload})
	}
	return k, nil
}
