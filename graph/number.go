package graph

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

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
