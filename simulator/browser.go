package simulator

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	maxBrowsers  = 32
	browserGrace = 10 * time.Second // without an event stream
	maxName      = 60
)

// LiveCall is one row of the browser page's list of calls, as the embedding program tells it.
type LiveCall struct {
	ID        string    `json:"id"`
	Direction string    `json:"direction"` // inbound, outbound
	Customer  string    `json:"customer"`
	Agent     string    `json:"agent"`
	State     string    `json:"state"`
	Started   time.Time `json:"started"`
}

// browser is one tab of the page: a person with an own identity.
type browser struct {
	session string
	cust    *Customer
	events  chan []byte
	done    chan struct{}

	mu     sync.Mutex
	call   *browserCall
	stream int // generation of the event stream; 0: none yet
	active bool
	gone   bool
}

// browserEvent is one server-sent event.
type browserEvent struct {
	Type    string `json:"type"`
	Call    string `json:"call,omitempty"`
	State   State  `json:"state,omitempty"`
	SDP     string `json:"sdp,omitempty"`
	Name    string `json:"name,omitempty"`
	Number  string `json:"number,omitempty"`
	Message string `json:"message,omitempty"`
	Text    string `json:"text,omitempty"`
	Button  string `json:"button,omitempty"` // the label of a call button
	End     *End   `json:"end,omitempty"`
}

var (
	errTooManyBrowsers = errors.New("too many browser tabs are open; close some and reload")
	errNoCall          = errors.New("there is no such call")
)

// addBrowser makes the tab a person on WhatsApp.
func (m *Meta) addBrowser(name, phone string, permission PermissionKind) (*browser, error) {
	name = cleanName(name)
	if name == "" {
		return nil, errors.New("please enter a name")
	}
	phone = digits(phone)
	if phone != "" && (len(phone) < 7 || len(phone) > 15) {
		return nil, errors.New("a phone number has 7 to 15 digits, with the country code")
	}
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("new browser session: %w", err)
	}
	b := &browser{session: hex.EncodeToString(key), events: make(chan []byte, 64), done: make(chan struct{})}
	cfg := CustomerConfig{Name: name, Phone: phone, Permission: permission}
	if phone == "" { // a username customer: no number for the company
		cfg.BSUID, cfg.Username = "ID."+strings.ToUpper(b.session[:20]), "guest."+b.session[:6]
	} else {
		cfg.BSUID = "ID.91" + phone
	}
	c := &Customer{m: m, cfg: cfg, calls: make(chan *CustomerCall, 1), since: m.clock.Now()}
	c.device = func(cl *call) endpoint { return b.incoming(cl) }
	c.onMessage = b.onMessage
	b.cust = c
	m.mu.Lock()
	full := len(m.browsers) >= maxBrowsers
	m.mu.Unlock()
	if full {
		return nil, errTooManyBrowsers
	}
	if err := m.addCustomer(c); err != nil {
		return nil, errors.New("somebody with this phone number is on WhatsApp already; choose another")
	}
	m.mu.Lock()
	m.browsers[b.session] = b
	m.mu.Unlock()
	b.expireWithout(m, 0)
	return b, nil
}

func cleanName(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s))
	if r := []rune(s); len(r) > maxName {
		s = string(r[:maxName])
	}
	return s
}

func (m *Meta) browserBySession(session string) *browser {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.browsers[session]
}

// dropBrowser forgets a tab that was closed: its call ends, its person leaves WhatsApp. Permissions stay, as with a
// person who reinstalls.
func (m *Meta) dropBrowser(b *browser) {
	b.mu.Lock()
	if b.gone {
		b.mu.Unlock()
		return
	}
	b.gone = true
	call := b.call
	b.mu.Unlock()
	if call != nil {
		call.hangup()
	}
	close(b.done)
	cfg := b.cust.config()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.browsers, b.session)
	delete(m.customers, cfg.BSUID)
	if cfg.Phone != "" {
		delete(m.customers, cfg.Phone)
	}
}

// expireWithout drops the tab unless a newer event stream than generation opens in time.
func (b *browser) expireWithout(m *Meta, generation int) {
	m.spawn("browser expiry", func() {
		t := time.NewTimer(browserGrace)
		defer t.Stop()
		select {
		case <-t.C:
		case <-b.done:
			return
		case <-m.ctx.Done():
			return
		}
		b.mu.Lock()
		stale := b.stream == generation && !b.active
		b.mu.Unlock()
		if stale {
			m.dropBrowser(b)
		}
	})
}

// push queues an event for the tab. A tab that doesn't read loses events.
func (b *browser) push(e browserEvent) {
	raw, err := json.Marshal(e)
	if err != nil {
		return
	}
	select {
	case b.events <- raw:
	default:
	}
}

// onMessage shows a message on the page.
func (b *browser) onMessage(n *number, g *Message) {
	e := browserEvent{Type: "message", Message: g.ID, Number: n.PhoneNumberID, Name: n.Name, Text: g.wording()}
	if g.AsksPermission {
		e.Type = "permission_request"
	}
	if i := g.callButton(); i >= 0 {
		e.Button = g.Buttons[i]
	}
	b.push(e)
}

// current returns the tab's call if it has the ID.
func (b *browser) current(id string) (*browserCall, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.call == nil || b.call.id() != id {
		return nil, errNoCall
	}
	return b.call, nil
}
