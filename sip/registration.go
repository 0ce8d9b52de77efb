package sip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	msg "github.com/emiago/sipgo/sip"
)

// Back-off of a registration that fails, with jitter.
const (
	backoffMin = 2 * time.Second
	backoffMax = 2 * time.Minute
	// backoffRefused is for a registrar that says no: hammering it gets accounts locked.
	backoffRefused = time.Minute

	registerTimeout   = 8 * time.Second
	unregisterTimeout = 2 * time.Second
)

// registration is the state of one outbound registration (RFC 3261 §10.2): Call-ID and CSeq stay for its life.
type registration struct {
	t      *Trunk
	callID string
	tag    string
	seq    uint32
	ask    time.Duration // what we ask for, raised by 423
	flow   flow          // where the registrar answered last
}

// refusal is a final answer that is not 2xx.
type refusal struct {
	status int
	phrase string
	after  time.Duration
}

func (r refusal) Error() string { return fmt.Sprintf("%d %s", r.status, r.phrase) }

// register keeps the trunk registered until ctx ends, then takes the registration back.
func (t *Trunk) register(ctx context.Context) {
	r := &registration{t: t, callID: token(12), tag: token(8), seq: randomSeq(), ask: t.cfg.Expires}
	fails := 0
	for {
		granted, err := r.once(ctx, r.ask)
		if ctx.Err() != nil {
			break
		}
		var wait time.Duration
		if err == nil {
			fails = 0
			t.change(func() { t.registered, t.lastErr = true, "" })
			wait = refreshAfter(granted)
		} else {
			fails++
			wait = backoff(fails, err, rand.Float64())
			t.change(func() { t.registered, t.lastErr = false, "register: "+err.Error() })
		}
		if !sleep(ctx, wait) {
			break
		}
	}
	r.leave()
}

// refreshAfter leaves room for a lost refresh and its repetition.
func refreshAfter(granted time.Duration) time.Duration {
	return max(granted*3/4-time.Duration(rand.Int64N(int64(granted)/20+1)), time.Second)
}

// backoff grows with every failure; random in [0,1) spreads many appliances after an outage.
func backoff(fails int, err error, random float64) time.Duration {
	d := min(backoffMin<<min(fails-1, 10), backoffMax)
	var no refusal
	if errors.As(err, &no) {
		if no.status == 401 || no.status == 403 || no.status == 404 || no.status == 407 {
			d = max(d, backoffRefused)
		}
		d = max(d, no.after)
	}
	if errors.Is(err, errRefused) {
		d = max(d, backoffRefused)
	}
	return time.Duration(float64(d) * (0.75 + random/2))
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// once tries the registrar's addresses in order.
func (r *registration) once(ctx context.Context, expires time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	flows, err := r.t.flows(ctx)
	if err != nil {
		return 0, err
	}
	for _, f := range flows {
		one, cancel := context.WithTimeout(ctx, max(registerTimeout/2, registerTimeout/time.Duration(len(flows))))
		var granted time.Duration
		granted, err = r.at(one, f, expires)
		cancel()
		var no refusal
		if err == nil || (errors.As(err, &no) && no.status != 503) || errors.Is(err, errRefused) {
			return granted, err
		}
	}
	return 0, err
}

// at registers at one address, answering one challenge and raising Expires once.
func (r *registration) at(ctx context.Context, f flow, expires time.Duration) (time.Duration, error) {
	var auth attempt
	var challenge *msg.Response
	for range 5 {
		req := r.request(f, expires)
		if challenge != nil {
			if err := r.t.creds.authorize(req, challenge, &auth); err != nil {
				return 0, err
			}
		}
		res, err := r.t.e.do(ctx, req, f)
		if err != nil {
			return 0, err
		}
		switch {
		case res.StatusCode == 401 || res.StatusCode == 407:
			challenge = res
		case res.StatusCode == 423:
			m, ok := minExpiresOf(res)
			if !ok || m <= expires {
				return 0, refusal{status: 423, phrase: "Interval Too Brief"}
			}
			r.ask, expires, challenge, auth = m, m, nil, attempt{}
		case res.IsSuccess():
			r.flow = f
			return r.granted(res, expires), nil
		default:
			return 0, refusal{status: res.StatusCode, phrase: headerText(res.Reason), after: retryAfterOf(res)}
		}
	}
	return 0, errRefused
}

func minExpiresOf(res *msg.Response) (time.Duration, bool) {
	h := res.GetHeader("min-expires")
	if h == nil {
		return 0, false
	}
	return seconds(h.Value())
}

func (r *registration) request(f flow, expires time.Duration) *msg.Request {
	t := r.t
	r.seq++
	uri := msg.Uri{Scheme: "sip", Host: uriHostText(t.cfg.Host), Port: t.cfg.Port}
	if t.cfg.Domain != "" { // where it goes is the flow's business, not the Request-URI's
		uri = msg.Uri{Scheme: "sip", Host: uriHostText(t.cfg.Domain)}
	}
	aor := msg.Uri{Scheme: "sip", User: t.cfg.Username, Host: uri.Host}
	req := msg.NewRequest(msg.REGISTER, uri)
	appendIDs(req, r.callID, msg.FromHeader{Address: aor}, r.tag, msg.ToHeader{Address: aor}, "", r.seq)
	req.AppendHeader(t.e.contact(t.cfg.Username, f))
	req.AppendHeader(msg.NewHeader("Expires", strconv.Itoa(int(expires/time.Second))))
	req.AppendHeader(msg.NewHeader("Allow", allowedMethods))
	req.AppendHeader(msg.NewHeader("User-Agent", t.e.cfg.UserAgent))
	req.SetBody(nil)
	t.e.address(req, f, newBranch())
	return req
}

// granted is how long the registrar keeps us: our Contact's expires, else the Expires header, else what we asked.
func (r *registration) granted(res *msg.Response, asked time.Duration) time.Duration {
	got := asked
	if h := res.GetHeader("expires"); h != nil {
		if d, ok := seconds(h.Value()); ok {
			got = d
		}
	}
	for _, h := range res.GetHeaders("contact") {
		c, ok := h.(*msg.ContactHeader)
		if !ok || c.Address.User != r.t.cfg.Username {
			continue
		}
		if v, has := c.Params.Get("expires"); has {
			if d, ok := seconds(v); ok && d > 0 {
				got = d
			}
		}
	}
	return max(got, 10*time.Second)
}

// leave takes the registration back, if there is one. The trunk's ctx has ended; the endpoint's has not.
func (r *registration) leave() {
	if !r.flow.addr.IsValid() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.e.ctx), unregisterTimeout)
	defer cancel()
	_, _ = r.at(ctx, r.flow, 0)
	r.t.mu.Lock()
	r.t.registered = false
	r.t.mu.Unlock()
}
