package simulator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Attitude is how a customer reacts to a permission request.
type Attitude string

// The attitudes.
const (
	AttitudeIgnore    Attitude = ""
	AttitudeTemporary Attitude = "temporary"
	AttitudePermanent Attitude = "permanent"
	AttitudeDecline   Attitude = "decline"
)

// Reaction is what a customer does when the company calls.
type Reaction string

// The reactions to an outbound call.
const (
	ReactAnswer  Reaction = ""        // pick up after Behaviour.After
	ReactDecline Reaction = "decline" // refuse after Behaviour.After
	ReactIgnore  Reaction = "ignore"  // let it ring
	ReactManual  Reaction = "manual"  // the test calls Answer or Decline
)

// Behaviour is what a customer does in a call.
type Behaviour struct {
	React Reaction
	After time.Duration // from RINGING; 0 means Timing.Pickup
	// HangupIn hangs up when the call reaches the state, HangupAfter later.
	HangupIn    State
	HangupAfter time.Duration
	Play        Playback
	Impair      Impairment
	// AnswerSetup overrides a=setup of an outbound call's answer ("passive", or "actpass" as leaked in the field).
	AnswerSetup string
	PlainFmtp   bool // the older style of Meta's SDP
	// MaxSilence is the longest pause in the business's RTP that is no violation; 0 means 1 s.
	MaxSilence time.Duration
	// KeepPackets bounds the packet log; 0 means 30 000 (ten minutes).
	KeepPackets int
}

// CustomerConfig is a person on WhatsApp.
type CustomerConfig struct {
	Phone        string // digits
	BSUID        string // made from the phone if empty
	ParentBSUID  string
	Username     string
	Name         string
	HidePhone    bool           // a username user whose phone Meta does not share
	Permission   PermissionKind // towards every number, at the start
	Attitude     Attitude
	WindowClosed bool // no open 24 h customer service window at the start
	Offline      bool // outbound calls never ring
	OldApp       bool // permission requests and call buttons fail with 131026 after they were accepted
	Companion    bool // calls from a companion device: no automatic callback permission
	Behaviour    Behaviour
	Delivery     *Delivery // overrides Meta's for this customer's calls
}

func (c CustomerConfig) hidden() bool { return c.HidePhone || c.Phone == "" }

// name is what the request log calls the customer.
func (c *Customer) name() string {
	cfg := c.config()
	return cmp.Or(cfg.Phone, cfg.BSUID)
}

// Customer is a simulated person.
type Customer struct {
	m     *Meta
	calls chan *CustomerCall
	since time.Time // simulated
	// onMessage tells a browser of a message; nil for others.
	onMessage func(n *number, g *Message)
	// device makes the end of an outbound call: simulated media or a browser.
	device func(c *call) endpoint

	mu    sync.Mutex
	cfg   CustomerConfig
	inbox []Message
}

// Customer adds a person to WhatsApp.
func (m *Meta) Customer(cfg CustomerConfig) (*Customer, error) {
	cfg.Phone = digits(cfg.Phone)
	if cfg.Phone == "" && cfg.BSUID == "" {
		return nil, errors.New("simulated customer: phone or BSUID needed")
	}
	if cfg.BSUID == "" {
		cfg.BSUID = "ID.90" + cfg.Phone
	}
	c := &Customer{m: m, cfg: cfg, calls: make(chan *CustomerCall, 64), since: m.clock.Now()}
	c.device = func(cl *call) endpoint { return newCustomerCall(c, cl, c.config().Behaviour) }
	if err := m.addCustomer(c); err != nil {
		return nil, err
	}
	return c, nil
}

func (m *Meta) addCustomer(c *Customer) error {
	cfg := c.config()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range []string{cfg.Phone, cfg.BSUID} {
		if _, dup := m.customers[key]; dup && key != "" {
			return fmt.Errorf("simulated customer %s: exists already", cfg.BSUID)
		}
	}
	if cfg.Phone != "" {
		m.customers[cfg.Phone] = c
	}
	m.customers[cfg.BSUID] = c
	return nil
}

// findCustomer looks a phone number or BSUID up. m.mu is held.
func (m *Meta) findCustomer(who string) *Customer {
	if c := m.customers[who]; c != nil {
		return c
	}
	if d := digits(who); d != "" {
		return m.customers[d]
	}
	return nil
}

func (c *Customer) config() CustomerConfig {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cfg
}

// Config returns the customer as configured now.
func (c *Customer) Config() CustomerConfig { return c.config() }

// Update changes the customer for later calls. Phone and BSUID must stay.
func (c *Customer) Update(change func(*CustomerConfig)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	phone, bsuid := c.cfg.Phone, c.cfg.BSUID
	change(&c.cfg)
	c.cfg.Phone, c.cfg.BSUID = phone, bsuid
}

// Calls delivers each outbound call that reaches this customer. Unread ones beyond 64 are not kept.
func (c *Customer) Calls() <-chan *CustomerCall { return c.calls }

// CallOptions are the options of one inbound call.
type CallOptions struct {
	DeeplinkPayload string
	CTAPayload      string
	Behaviour       *Behaviour // overrides the customer's
	Delivery        *Delivery
}

// ErrCallRefused means that WhatsApp did not let the customer call: calling off, restricted, or already in a call.
var ErrCallRefused = errors.New("the call can not be placed")

// ErrOutsideHours means that the number's call hours at Meta are over: the phone shows a popup and no call is made.
var ErrOutsideHours = fmt.Errorf("%w: the company takes calls only within its call hours", ErrCallRefused)

// Call lets the customer call a number (its phone number ID or its digits).
func (c *Customer) Call(ctx context.Context, number string, opts CallOptions) (*CustomerCall, error) {
	b := c.config().Behaviour
	if opts.Behaviour != nil {
		b = *opts.Behaviour
	}
	cc := newCustomerCall(c, nil, b)
	if err := c.m.dial(ctx, c, number, opts, cc, func(cl *call) { cc.call = cl }); err != nil {
		return nil, err
	}
	return cc, nil
}

// dial places an inbound call from any device.
func (m *Meta) dial(ctx context.Context, c *Customer, number string, opts CallOptions, ep endpoint, bind func(*call)) error {
	sdp, err := ep.offer(ctx)
	if err != nil {
		ep.over(End{By: ByNetwork, Reason: "setup"})
		ep.wait()
		return fmt.Errorf("prepare call: %w", err)
	}
	cl, err := m.admitInbound(c, number, opts, ep)
	if err != nil {
		ep.over(End{By: ByNetwork, Reason: "setup"})
		ep.wait()
		return err
	}
	bind(cl)
	if !m.startCall(cl) || !cl.do(func() { cl.beginInbound(sdp) }) {
		return fmt.Errorf("%w: the simulator is closing", ErrCallRefused)
	}
	return nil
}

func (m *Meta) admitInbound(c *Customer, number string, opts CallOptions, ep endpoint) (*call, error) {
	now := m.clock.Now()
	id := m.newID("wacid.SIMIN")
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.numbers[number]
	for _, other := range m.numbers {
		if n == nil && digits(number) == other.DisplayNumber {
			n = other
		}
	}
	switch {
	case n == nil:
		return nil, fmt.Errorf("%w: no such number %q", ErrCallRefused, number)
	case !n.callingEnabled(), n.restricted(RestrictUserCalls, now), n.sipMode():
		return nil, fmt.Errorf("%w: calling is not available on this number", ErrCallRefused)
	case !n.hoursOpen(now): // a popup on the phone; the business never hears of it (§9.1)
		return nil, ErrOutsideHours
	}
	if e := m.admitCall(n, c); e != nil {
		return nil, fmt.Errorf("%w: %w", ErrCallRefused, e)
	}
	cl := m.newCall(id, n, c, false, ep)
	cl.opts = opts
	if opts.Delivery != nil {
		cl.delivery = *opts.Delivery
	}
	return cl, nil
}

func (m *Meta) numberByID(id string) (*number, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.numbers[id]; n != nil {
		return n, nil
	}
	return nil, fmt.Errorf("no such number %q", id)
}

// PermissionFor tells what the customer lets a number do, and until when.
func (c *Customer) PermissionFor(phoneNumberID string) (PermissionKind, time.Time) {
	n, err := c.m.numberByID(phoneNumberID)
	if err != nil {
		return PermissionNone, time.Time{}
	}
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	return c.m.permissionOf(n, c).status(c.m.clock.Now())
}

// SetPermission changes the permission as the customer would in the business profile. webhook says whether Meta tells
// the business of it (a revoke is not known to be told).
func (c *Customer) SetPermission(phoneNumberID string, kind PermissionKind, webhook bool) error {
	n, err := c.m.numberByID(phoneNumberID)
	if err != nil {
		return fmt.Errorf("set permission: %w", err)
	}
	now := c.m.clock.Now()
	reply := permissionReply{response: "accept", source: "user_action", at: now}
	c.m.mu.Lock()
	p := c.m.permissionOf(n, c)
	switch kind {
	case PermissionTemporary:
		p.grantTemporary(now)
		reply.expires = p.expires
	case PermissionPermanent:
		p.grantPermanent()
		reply.permanent = true
	default:
		p.revoke()
		reply.response = "reject"
	}
	c.m.mu.Unlock()
	if webhook {
		c.m.sendPermissionReply(n, c, reply)
	}
	return nil
}

// ActiveCalls returns the IDs of the calls that exist now.
func (m *Meta) ActiveCalls() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for id, c := range m.calls {
		if !c.gone.Load() {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}
