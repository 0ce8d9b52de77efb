package graph

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of ClientConfig.
const (
	DefaultBaseURL = "https://graph.facebook.com"
	DefaultVersion = "v25.0"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

// ClientConfig is what NewClient needs. Only Token has no default.
type ClientConfig struct {
	BaseURL string
	Version string // "v25.0"
	Token   Secret
	// AppSecret, when set, adds appsecret_proof to every request, for apps with "require app secret" on (§3.2).
	AppSecret Secret
	// Transport carries the requests; nil makes one of the client's own.
	Transport  http.RoundTripper
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	Now        func() time.Time
}

// Client talks to the Graph API with one access token. It is safe for concurrent use.
type Client struct {
	base    string
	token   Secret
	proof   string
	http    *http.Client
	own     *http.Transport
	log     *slog.Logger
	now     func() time.Time
	metrics *metrics
	perms   *permissionCache
}

// NewClient makes a client. It sends nothing.
func NewClient(cfg ClientConfig) *Client {
	c := &Client{token: cfg.Token, log: cfg.Logger, now: cfg.Now, metrics: newMetrics(cfg.Registerer)}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	base, version := cfg.BaseURL, cfg.Version
	if base == "" {
		base = DefaultBaseURL
	}
	if version == "" {
		version = DefaultVersion
	}
	c.base = strings.TrimRight(base, "/") + "/" + strings.Trim(version, "/")
	if !cfg.AppSecret.Empty() {
		mac := hmac.New(sha256.New, []byte(cfg.AppSecret.Reveal()))
		mac.Write([]byte(cfg.Token.Reveal()))
		c.proof = hex.EncodeToString(mac.Sum(nil))
	}
	rt := cfg.Transport
	if rt == nil {
		c.own = newTransport()
		rt = c.own
	}
	// A redirect would carry the token to wherever it points; Graph never redirects.
	c.http = &http.Client{Transport: rt, Timeout: budget,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	c.perms = newPermissionCache()
	return c
}

func newTransport() *http.Transport {
	d := &net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: d.DialContext, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 2 * time.Second, MaxIdleConns: 32, MaxIdleConnsPerHost: 32, MaxConnsPerHost: 64,
		IdleConnTimeout: 60 * time.Second, MaxResponseHeaderBytes: 64 << 10,
	}
}

// Close drops idle connections of the client's own transport.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// request is one thing asked of Graph.
type request struct {
	action string // metric label, one of a fixed set
	method string
	path   string // below the version
	query  url.Values
	body   any
	limit  time.Duration // of once as a whole; 0 is connectLimit
}

// attempt is the outcome of one try.
type attempt struct {
	sent bool // the request may have reached Meta
	err  error
}

// try sends r once and decodes a good answer into out.
func (c *Client) try(ctx context.Context, r request, payload []byte, out any) attempt {
	begin := time.Now()
	a := c.roundTrip(ctx, r, payload, out)
	c.metrics.latency.WithLabelValues(r.action, class(a.err)).Observe(time.Since(begin).Seconds())
	return a
}

func (c *Client) roundTrip(ctx context.Context, r request, payload []byte, out any) attempt {
	var a attempt
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { a.sent = true }}
	// Without a connection nothing was sent; a RoundTripper that does not trace is taken to have sent.
	_, traced := c.http.Transport.(*http.Transport)
	a.sent = !traced
	req, err := c.newRequest(httptrace.WithClientTrace(ctx, trace), r, payload)
	if err != nil {
		return attempt{err: err}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		a.err = scrub(err)
		return a
	}
	a.sent = true
	defer resp.Body.Close()
	c.metrics.observeUsage(resp.Header)
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		a.err = fmt.Errorf("read answer: %w", err)
	case len(body) > maxAnswer:
		a.err = fmt.Errorf("%w: larger than %d bytes", ErrAnswer, maxAnswer)
	default:
		a.err = decode(resp, body, out)
	}
	return a
}

func (c *Client) newRequest(ctx context.Context, r request, payload []byte) (*http.Request, error) {
	u := c.base + r.path
	query := r.query
	if c.proof != "" {
		if query == nil {
			query = url.Values{}
		}
		query.Set("appsecret_proof", c.proof)
	}
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	var body io.Reader
	if payload != nil {
		body = bytes.NewReader(payload)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u, body)
	if err != nil {
		return nil, fmt.Errorf("bad Graph base URL %q", c.base)
	}
	req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "deskbridge")
	if payload != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// scrub drops the URL that net/http puts into its errors: its query holds phone numbers and the proof.
func scrub(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}

// decode tells a good answer, a Graph error and rubbish apart.
func decode(resp *http.Response, body []byte, out any) error {
	var envelope struct {
		Error   json.RawMessage `json:"error"`
		Success *bool           `json:"success"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil && !isTypeError(err) {
		return &answerError{status: resp.StatusCode, retryAfter: retryAfter(resp)}
	}
	if len(envelope.Error) > 0 && !bytes.Equal(envelope.Error, []byte("null")) {
		return parseError(resp, envelope.Error)
	}
	if resp.StatusCode/100 != 2 {
		return &answerError{status: resp.StatusCode, retryAfter: retryAfter(resp)}
	}
	if envelope.Success != nil && !*envelope.Success {
		return &Error{Status: resp.StatusCode, Message: "success is false"}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil && !isTypeError(err) {
		return &answerError{status: resp.StatusCode}
	}
	return nil
}

// answerError is ErrAnswer with what is known of it.
type answerError struct {
	status     int
	retryAfter time.Duration
}

func (e *answerError) Error() string { return fmt.Sprintf("%v: HTTP %d", ErrAnswer, e.status) }
func (e *answerError) Unwrap() error { return ErrAnswer }

func parseError(resp *http.Response, raw []byte) error {
	var e struct {
		Message     text `json:"message"`
		Type        text `json:"type"`
		Code        num  `json:"code"`
		Subcode     num  `json:"error_subcode"`
		UserMessage text `json:"error_user_msg"`
		TraceID     text `json:"fbtrace_id"`
		Transient   flag `json:"is_transient"`
		Data        struct {
			Details text `json:"details"`
		} `json:"error_data"`
	}
	if err := json.Unmarshal(raw, &e); err != nil && !isTypeError(err) {
		return &answerError{status: resp.StatusCode, retryAfter: retryAfter(resp)}
	}
	return &Error{
		Status: resp.StatusCode, Code: int(e.Code), Subcode: int(e.Subcode), Type: clip(string(e.Type), 128),
		Message: clip(string(e.Message), 512), Details: clip(string(e.Data.Details), 1024), UserMessage: clip(string(e.UserMessage), 512),
		TraceID: clip(string(e.TraceID), 128), Transient: bool(e.Transient), RetryAfter: retryAfter(resp),
	}
}

// retryAfter reads RFC 9110 §10.2.3, seconds or a date.
func retryAfter(resp *http.Response) time.Duration {
	s := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if s == "" {
		return 0
	}
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return min(time.Duration(min(n, 1<<20))*time.Second, 24*time.Hour)
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, min(time.Until(t), 24*time.Hour))
	}
	return 0
}
