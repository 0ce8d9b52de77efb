//go:build e2e

package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// loadMeta is as little of Meta as a load needs: it sends connect and terminate webhooks and takes pre_accept and accept.
// The simulator's Meta checks far more and costs accordingly; here the generator shares two cores with the product.
type loadMeta struct {
	t      testing.TB
	srv    *httptest.Server
	client *http.Client
	hook   string

	mu    sync.Mutex
	calls map[string]*loadCustomer // by wacid
}

func newLoadMeta(t testing.TB) *loadMeta {
	m := &loadMeta{t: t, calls: map[string]*loadCustomer{}, client: &http.Client{Timeout: wait}}
	m.srv = httptest.NewServer(http.HandlerFunc(m.serve))
	t.Cleanup(m.srv.Close)
	return m
}

func (m *loadMeta) serve(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Action  string `json:"action"`
		CallID  string `json:"call_id"`
		Session struct {
			SDP string `json:"sdp"`
		} `json:"session"`
	}
	if strings.HasSuffix(r.URL.Path, "/calls") && r.Method == http.MethodPost {
		if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&body); err != nil {
			m.t.Errorf("Graph request: %v", err)
		}
		m.mu.Lock()
		c := m.calls[body.CallID]
		m.mu.Unlock()
		if c != nil {
			c.graph(body.Action)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"messaging_product":"whatsapp","success":true}`)
}

// connect tells the product that a customer calls.
func (m *loadMeta) connect(c *loadCustomer, offer string) error {
	m.mu.Lock()
	m.calls[c.wacid] = c
	m.mu.Unlock()
	return m.webhook(c, map[string]any{
		"event": "connect", "session": map[string]any{"sdp_type": "offer", "sdp": offer},
	})
}

// terminate tells the product that the call is over, and forgets it.
func (m *loadMeta) terminate(c *loadCustomer) error {
	m.mu.Lock()
	delete(m.calls, c.wacid)
	m.mu.Unlock()
	return m.webhook(c, map[string]any{"event": "terminate", "status": "COMPLETED", "duration": 1})
}

func (m *loadMeta) webhook(c *loadCustomer, call map[string]any) error {
	for k, v := range map[string]any{"id": c.wacid, "from": c.phone, "from_user_id": "DE." + c.phone, "to": displayNumber,
		"direction": "USER_INITIATED", "timestamp": strconv.FormatInt(time.Now().Unix(), 10)} {
		call[k] = v
	}
	body, err := json.Marshal(map[string]any{
		"object": "whatsapp_business_account",
		"entry": []any{map[string]any{"id": "900100200300400", "changes": []any{map[string]any{"field": "calls", "value": map[string]any{
			"messaging_product": "whatsapp",
			"metadata":          map[string]any{"display_phone_number": displayNumber, "phone_number_id": numberID},
			"contacts":          []any{map[string]any{"profile": map[string]any{"name": "Load"}, "wa_id": c.phone, "user_id": "DE." + c.phone}},
			"calls":             []any{call},
		}}}}},
	})
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(appSecret))
	mac.Write(body)
	req, err := http.NewRequest(http.MethodPost, "http://"+m.hook+"/webhook/meta", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	res, err := m.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("webhook: %s", res.Status)
	}
	return nil
}
