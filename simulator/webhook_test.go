package simulator

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// The vectors of the contract §5.2.
func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	zoe := `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"calls","value":{"contacts":[{"profile":{"name":"Zoë"}}]}}]}]}`
	for _, c := range []struct{ secret, body, want string }{
		{testSecret, `{"object":"whatsapp_business_account","entry":[]}`, "c7326753b87f54d6c14d80f862221e58e5ca3d9ce818ef700449cfbb4e6e8bc3"},
		{testSecret, `{"object": "whatsapp_business_account", "entry": []}`, "82235798f0a7faac02310416b0c25e2bb33f869db617e0804f6b16250d4b9d4d"},
		{testSecret, zoe, "4048241c605b983453f6a5ace0283935bf71a379e940ceed45e3833c909d6f1d"},
		{testSecret, string(escapeNonASCII([]byte(zoe))), "4aa5cded1eb6a70472fe88ce5efcaf6667e6bd95edb894e937db1c0de04bab7e"},
		{"other-secret", `{"object":"whatsapp_business_account","entry":[]}`, "427319d9da742e75b6d633ec37fe8951457dd74f4362f2f7f3024b7047b06d2b"},
	} {
		if got := Sign(c.secret, []byte(c.body)); got != "sha256="+c.want {
			t.Errorf("Sign(%q, %q) = %s", c.secret, c.body, got)
		}
	}
	if got := string(escapeNonASCII([]byte("a😀"))); got != `a\ud83d\ude00` {
		t.Errorf("escaped %s", got)
	}
}

func TestSubscribeWantsTheChallengeBack(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	if err := p.meta.Subscribe(testCtx(t)); err != nil {
		t.Error(err)
	}
	q := newProduct(t, func(c *MetaConfig) { c.VerifyToken = "wrong" })
	if err := q.meta.Subscribe(testCtx(t)); err == nil {
		t.Error("a refused handshake passed")
	}
}

// endedInbound lets a customer call and hang up once the webhook is out.
func endedInbound(t *testing.T, p *product, d Delivery) *CustomerCall {
	t.Helper()
	cc, err := p.customer().Call(testCtx(t), testPNID, CallOptions{Delivery: &d, Behaviour: &Behaviour{HangupIn: StateRinging}})
	if err != nil {
		t.Fatal(err)
	}
	<-cc.Ended()
	return cc
}

func TestTerminateCanOvertakeConnect(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	endedInbound(t, p, Delivery{TerminateFirst: true})
	p.wait("connect")
	if got := p.order(); !slices.Equal(got, []string{"terminate", "connect"}) {
		t.Errorf("order %v", got)
	}
}

func TestUpdatesComeInOrderDuplicatedAndBatchedAsTold(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	endedInbound(t, p, Delivery{Duplicate: 9})
	eventually(t, "twenty updates", func() bool { return len(p.order()) == 20 })
	if got := p.order(); got[9] != "connect" || got[10] != "terminate" {
		t.Errorf("order %v", got)
	}
	q := newProduct(t)
	endedInbound(t, q, Delivery{BatchWindow: 200 * time.Millisecond})
	q.wait("terminate")
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.events) != 2 || !bytes.Equal(q.events[0].Body, q.events[1].Body) {
		t.Error("not one body")
	}
}

func TestWebhookShapesOnDemand(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	endedInbound(t, p, Delivery{EscapeNonASCII: true, StaleBy: 2 * time.Minute, NoDirection: true})
	h := p.wait("connect")
	if !bytes.Contains(h.Body, []byte(`Zo\u00eb`)) || h.Call["direction"] != nil {
		t.Errorf("body %s", h.Body)
	}
	if ts := h.Call["timestamp"].(string); ts > stamp(time.Now().Add(-time.Minute)) {
		t.Errorf("timestamp %s is not stale", ts)
	}
	q := newProduct(t)
	endedInbound(t, q, Delivery{NoContacts: true, UnknownFields: true, UnknownEvents: true})
	h = q.wait("connect")
	if h.Value["contacts"] != nil || h.Value["quantum_state"] == nil || !contains(q.order(), "call_teleported") {
		t.Errorf("value %v, order %v", h.Value, q.order())
	}
}

func TestWrongSignatureIsNotRetried(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	endedInbound(t, p, Delivery{WrongSignature: true})
	eventually(t, "two attempts", func() bool { return len(p.meta.Deliveries()) == 2 })
	for _, d := range p.meta.Deliveries() {
		if d.Status != http.StatusUnauthorized || d.Attempt != 1 {
			t.Errorf("%+v", d)
		}
	}
}

func TestRefusedWebhookIsRetried(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	p.mu.Lock()
	p.status = http.StatusServiceUnavailable
	p.mu.Unlock()
	endedInbound(t, p, Delivery{})
	eventually(t, "a second attempt", func() bool { return len(p.meta.Deliveries()) >= 3 })
	p.mu.Lock()
	p.status = http.StatusOK
	p.mu.Unlock()
	p.wait("connect")
	p.wait("terminate")
}

func TestCustomerWithoutPhoneHasOnlyBSUID(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	cust := p.customer(func(c *CustomerConfig) {
		c.Phone, c.BSUID, c.Username = "", "ID.7001122334455667788", "zoe.m"
		c.Behaviour.HangupIn = StateRinging
	})
	cc, err := cust.Call(testCtx(t), testPNID, CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := p.wait("connect")
	contact := h.Value["contacts"].([]any)[0].(map[string]any)
	if _, has := h.Call["from"]; has || h.Call["from_user_id"] != "ID.7001122334455667788" || contact["wa_id"] != nil ||
		contact["profile"].(map[string]any)["username"] != "zoe.m" {
		t.Errorf("call %v, contact %v", h.Call, contact)
	}
	if strings.Contains(string(h.Body), "wa_id") {
		t.Error("the phone key must be missing, not empty")
	}
	<-cc.Ended()
	leg := newBizLeg(t, 1000)
	status, body := p.graph("POST", testPNID+"/calls", obj{"messaging_product": "whatsapp", "recipient": "ID.7001122334455667788",
		"action": "connect", "session": obj{"sdp_type": "offer", "sdp": leg.offer()}})
	wantOK(t, status, body)
	if c := p.waitFor(func(h hook) bool { return h.Event == "connect" && h.Call["direction"] == "BUSINESS_INITIATED" }).Call; c["to"] != nil {
		t.Errorf("outbound connect %v", c)
	}
}
