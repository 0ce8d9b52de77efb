package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Restriction is a limit Meta put on the number's calling (§9.2).
type Restriction struct {
	Type    string
	Reason  string
	Expires time.Time
}

// Settings is the part of a number's calling settings that matters to a call. Fields Meta left out or calls NOT_SET are "".
type Settings struct {
	Status       string // ENABLED, DISABLED
	Icons        string // DEFAULT, DISABLE_ALL
	Callback     string // callback_permission_status
	SIP          string // sip.status: ENABLED means Graph calling is refused
	KeyExchange  string // DTLS, SDES
	ExtraCodecs  []string
	Restrictions []Restriction
	Raw          json.RawMessage // the whole answer, for display
}

// Settings reads the number's calling settings. (The reference page calls this a POST; it is a GET.)
func (c *Client) Settings(ctx context.Context, number string) (Settings, error) {
	var raw json.RawMessage
	r := request{action: "settings", method: http.MethodGet, path: "/" + segment(number) + "/settings"}
	if _, err := c.do(ctx, r, &raw); err != nil {
		return Settings{}, fmt.Errorf("settings: %w", err)
	}
	return parseSettings(raw)
}

func parseSettings(raw json.RawMessage) (Settings, error) {
	var j struct {
		Calling struct {
			Status   enum `json:"status"`
			Icons    enum `json:"call_icon_visibility"`
			Callback enum `json:"callback_permission_status"`
			SIP      struct {
				Status enum `json:"status"`
			} `json:"sip"`
			KeyExchange enum `json:"srtp_key_exchange_protocol"`
			Audio       struct {
				Codecs []text `json:"additional_codecs"`
			} `json:"audio"`
			Restrictions struct {
				List []struct {
					Type    enum `json:"type"`
					Reason  text `json:"reason"`
					Expires num  `json:"expiration"`
				} `json:"restrictions_list"`
			} `json:"restrictions"`
		} `json:"calling"`
	}
	if err := json.Unmarshal(raw, &j); err != nil && !isTypeError(err) {
		return Settings{}, fmt.Errorf("settings: %w", ErrAnswer)
	}
	set := func(e enum) string { return strings.TrimPrefix(string(e), "NOT_SET") }
	k := j.Calling
	s := Settings{Status: set(k.Status), Icons: set(k.Icons), Callback: set(k.Callback), SIP: set(k.SIP.Status),
		KeyExchange: set(k.KeyExchange), Raw: raw}
	for _, codec := range k.Audio.Codecs[:min(len(k.Audio.Codecs), 8)] {
		s.ExtraCodecs = append(s.ExtraCodecs, strings.ToUpper(string(codec)))
	}
	for _, r := range k.Restrictions.List[:min(len(k.Restrictions.List), 16)] {
		s.Restrictions = append(s.Restrictions, Restriction{Type: string(r.Type), Reason: clip(string(r.Reason), 512), Expires: r.Expires.time()})
	}
	return s, nil
}

// Number is what Meta says about a business number.
type Number struct {
	ID       string
	Display  string // as digits
	Verified string // verified name
	Quality  string
	Platform string // CLOUD_API, or calling is impossible
	Status   string
}

// Number reads the number itself.
func (c *Client) Number(ctx context.Context, number string) (Number, error) {
	var j struct {
		ID       text `json:"id"`
		Display  text `json:"display_phone_number"`
		Verified text `json:"verified_name"`
		Quality  enum `json:"quality_rating"`
		Platform enum `json:"platform_type"`
		Status   enum `json:"status"`
	}
	r := request{action: "number", method: http.MethodGet, path: "/" + segment(number),
		query: url.Values{"fields": {"id,display_phone_number,verified_name,quality_rating,platform_type,status"}}}
	if _, err := c.do(ctx, r, &j); err != nil {
		return Number{}, fmt.Errorf("number: %w", err)
	}
	return Number{ID: string(j.ID), Display: digits(string(j.Display)), Verified: string(j.Verified),
		Quality: string(j.Quality), Platform: string(j.Platform), Status: string(j.Status)}, nil
}

// Token is what Meta says about our access token.
type Token struct {
	Valid   bool
	App     string
	Expires time.Time // zero: never
	Scopes  []string
}

// Token inspects the client's own token.
func (c *Client) Token(ctx context.Context) (Token, error) {
	var j struct {
		Data struct {
			App     text   `json:"app_id"`
			Valid   flag   `json:"is_valid"`
			Expires num    `json:"expires_at"`
			Scopes  []text `json:"scopes"`
		} `json:"data"`
	}
	r := request{action: "debug_token", method: http.MethodGet, path: "/debug_token", query: url.Values{"input_token": {c.token.Reveal()}}}
	if _, err := c.do(ctx, r, &j); err != nil {
		return Token{}, fmt.Errorf("debug token: %w", err)
	}
	t := Token{Valid: bool(j.Data.Valid), App: string(j.Data.App), Expires: j.Data.Expires.time()}
	for _, s := range j.Data.Scopes[:min(len(j.Data.Scopes), 64)] {
		t.Scopes = append(t.Scopes, string(s))
	}
	return t, nil
}
