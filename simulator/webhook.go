package simulator

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Delivery says how webhooks are delivered, and how badly.
type Delivery struct {
	Duplicate      int           // further identical copies of every update
	Delay          time.Duration // before each update
	TerminateFirst bool          // an inbound call's terminate overtakes its connect
	AcceptedFirst  bool          // ACCEPTED overtakes the outbound connect webhook
	ConnectFirst   bool          // the outbound connect webhook overtakes the HTTP answer to connect
	BatchWindow    time.Duration // gather a call's updates for this long into one POST
	EscapeNonASCII bool          // \uXXXX in the body
	StaleBy        time.Duration // timestamps lie this far in the past
	UnknownFields  bool          // keys nobody has heard of
	UnknownEvents  bool          // events and fields nobody has heard of, before each update
	NoContacts     bool          // contacts missing
	HyphenLanguage bool          // template languages as en-US
	NoDirection    bool          // direction missing
	WrongSignature bool          // signed with another secret; not retried
	NoSignature    bool
}

// Delivered is one delivery attempt, for assertions.
type Delivered struct {
	At      time.Time
	Field   string
	Event   string // connect, terminate, RINGING, ACCEPTED, REJECTED, call_permission_reply, …
	Wacid   string
	Body    []byte
	Attempt int // from 1
	Status  int // 0: no answer
	Err     error
	Took    time.Duration
}

// Deliveries returns all attempts so far, oldest first.
func (m *Meta) Deliveries() []Delivered {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Delivered(nil), m.deliveries...)
}

// update is one change of a webhook body.
type update struct {
	field   string
	event   string
	wacid   string
	value   obj
	account bool   // account-level: no metadata, entry has a time
	entry   string // entry.id of an account-level field; "0" when empty, as in the samples of §14
	// sent is closed after the first attempt, when somebody waits for it.
	sent chan struct{}
}

// Sign returns the X-Hub-Signature-256 value for the raw body.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Subscribe performs the GET handshake of §5.1 against the webhook URL.
func (m *Meta) Subscribe(ctx context.Context) error {
	const challenge = "1158201444"
	m.mu.Lock()
	target, token := m.cfg.WebhookURL, m.cfg.VerifyToken
	m.mu.Unlock()
	u, err := url.Parse(target)
	if err != nil {
		return fmt.Errorf("webhook URL %q: %w", target, err)
	}
	q := u.Query()
	q.Set("hub.mode", "subscribe")
	q.Set("hub.challenge", challenge)
	q.Set("hub.verify_token", token)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("webhook handshake: %w", err)
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return fmt.Errorf("webhook handshake: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("webhook handshake: %w", err)
	}
	if resp.StatusCode != http.StatusOK || string(body) != challenge {
		return fmt.Errorf("webhook handshake: status %d and body %q, want 200 and the challenge %q", resp.StatusCode, body, challenge)
	}
	return nil
}

// SendWebhook delivers one update of any field once and returns the status it was answered with: for tests that need a
// body the simulator would not make by itself.
func (m *Meta) SendWebhook(ctx context.Context, phoneNumberID, field string, value map[string]any) (int, error) {
	m.mu.Lock()
	n, d := m.numbers[phoneNumberID], m.delivery
	m.mu.Unlock()
	if n == nil {
		return 0, fmt.Errorf("send webhook: unknown number %q", phoneNumberID)
	}
	u := update{field: field, event: field, value: value}
	body, err := m.envelope(n, []update{u}, d)
	if err != nil {
		return 0, fmt.Errorf("send webhook: %w", err)
	}
	return m.attempt(ctx, n, u, body, d, 1)
}

// SendRaw posts bytes, correctly signed, as a webhook of the number.
func (m *Meta) SendRaw(ctx context.Context, phoneNumberID string, body []byte) (int, error) {
	m.mu.Lock()
	n, d := m.numbers[phoneNumberID], m.delivery
	m.mu.Unlock()
	if n == nil {
		return 0, fmt.Errorf("send webhook: unknown number %q", phoneNumberID)
	}
	return m.attempt(ctx, n, update{field: "raw", event: "raw"}, body, d, 1)
}

// send delivers an update that belongs to no call, in its own goroutine.
func (m *Meta) send(n *number, u update) {
	m.mu.Lock()
	d := m.delivery
	m.mu.Unlock()
	m.spawn("webhook", func() {
		if sleep(m.ctx, d.Delay) {
			m.deliver(n, []update{u}, d)
		}
	})
}

// deliver makes the first attempts of one POST; what is not answered 200 is retried in the background.
func (m *Meta) deliver(n *number, us []update, d Delivery) {
	if d.UnknownEvents {
		m.deliverOnce(n, []update{{field: "calls", event: "unknown", value: obj{
			"calls": []any{obj{"id": us[0].wacid, "event": "call_teleported", "timestamp": stamp(m.clock.Now())}}}}}, d)
		m.deliverOnce(n, []update{{field: "call_weather", event: "unknown", value: obj{"forecast": "sunny"}}}, d)
	}
	for range 1 + d.Duplicate {
		m.deliverOnce(n, us, d)
	}
	for _, u := range us {
		if u.sent != nil {
			close(u.sent)
		}
	}
}

func (m *Meta) deliverOnce(n *number, us []update, d Delivery) {
	body, err := m.envelope(n, us, d)
	if err != nil {
		m.log.Error("build webhook", "err", err)
		return
	}
	status, _ := m.attempt(m.ctx, n, us[0], body, d, 1)
	if status == http.StatusOK || d.WrongSignature || d.NoSignature {
		return
	}
	m.spawn("webhook retry", func() {
		for i, gap := range m.timing.WebhookRetries {
			if !sleep(m.ctx, gap) {
				return
			}
			if status, _ := m.attempt(m.ctx, n, us[0], body, d, i+2); status == http.StatusOK {
				return
			}
		}
		m.log.Warn("webhook given up", "field", us[0].field, "event", us[0].event)
	})
}

func (m *Meta) attempt(ctx context.Context, n *number, u update, body []byte, d Delivery, try int) (int, error) {
	rec := Delivered{At: time.Now(), Field: u.field, Event: u.event, Wacid: u.wacid, Body: body, Attempt: try}
	rec.Status, rec.Err = m.post(ctx, n, body, d)
	rec.Took = time.Since(rec.At)
	m.mu.Lock()
	m.deliveries = appendBounded(m.deliveries, rec)
	m.mu.Unlock()
	if rec.Status != http.StatusOK {
		m.log.Debug("webhook not taken", "event", u.event, "status", rec.Status, "err", rec.Err)
	}
	return rec.Status, rec.Err
}

func (m *Meta) post(ctx context.Context, n *number, body []byte, d Delivery) (int, error) {
	m.mu.Lock()
	target := m.cfg.WebhookURL
	m.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	secret := n.AppSecret
	if d.WrongSignature {
		secret += "-not"
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "facebookexternalua")
	if !d.NoSignature {
		req.Header.Set("X-Hub-Signature-256", Sign(secret, body))
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

// envelope is §5.3: one entry with a change per update.
func (m *Meta) envelope(n *number, us []update, d Delivery) ([]byte, error) {
	entry := obj{"id": n.WABA}
	changes := []any{}
	for _, u := range us {
		value := obj{}
		for k, v := range u.value {
			value[k] = v
		}
		if u.account {
			entry["id"], entry["time"] = cmp.Or(u.entry, "0"), m.clock.Now().Unix()
		} else {
			value["messaging_product"] = "whatsapp"
			value["metadata"] = obj{"display_phone_number": n.DisplayNumber, "phone_number_id": n.PhoneNumberID}
		}
		if d.NoContacts {
			delete(value, "contacts")
		}
		if d.UnknownFields {
			value["quantum_state"] = obj{"spin": []any{1, "up", nil}}
		}
		changes = append(changes, obj{"field": u.field, "value": value})
	}
	entry["changes"] = changes
	body := obj{"object": "whatsapp_business_account", "entry": []any{entry}}
	if d.UnknownFields {
		body["schema_revision"] = 7
	}
	b, err := marshal(body)
	if err == nil && d.EscapeNonASCII {
		b = escapeNonASCII(b)
	}
	return b, err
}

func escapeNonASCII(in []byte) []byte {
	var out strings.Builder
	for len(in) > 0 {
		r, n := utf8.DecodeRune(in)
		switch {
		case r < utf8.RuneSelf:
			out.WriteByte(in[0])
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
		in = in[n:]
	}
	return []byte(out.String())
}

func stamp(t time.Time) string { return fmt.Sprint(t.Unix()) }
