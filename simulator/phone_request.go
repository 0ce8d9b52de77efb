package simulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/icholy/digest"

	msg "github.com/emiago/sipgo/sip"
)

// RFC 3261 §17.1.1.1
const (
	phoneT1 = 500 * time.Millisecond
	phoneT2 = 4 * time.Second
	phoneTB = 64 * phoneT1
)

var errPhoneTimeout = errors.New("no final response")

// newRequest makes a request with everything but its Via, which each transaction adds.
func (p *Phone) newRequest(method msg.RequestMethod, to msg.Uri) *msg.Request {
	r := msg.NewRequest(method, to)
	max := msg.MaxForwardsHeader(70)
	r.AppendHeader(&max)
	r.AppendHeader(msg.NewHeader("User-Agent", "deskbridge-simulator-phone"))
	return r
}

// aor is the phone's address of record.
func (p *Phone) aor() msg.Uri { return msg.Uri{Scheme: "sip", User: p.cfg.User, Host: p.cfg.Domain} }

func (p *Phone) contact() *msg.ContactHeader {
	u := msg.Uri{Scheme: "sip", User: p.cfg.User, Host: p.Addr().Addr().String(), Port: int(p.Addr().Port())}
	if p.cfg.Transport == "tcp" {
		u.UriParams.Add("transport", "tcp")
	}
	return &msg.ContactHeader{Address: u}
}

func (p *Phone) addVia(r *msg.Request) (branch string) {
	branch = msg.GenerateBranchN(16)
	v := &msg.ViaHeader{
		ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: transportName(p.cfg.Transport),
		Host: p.Addr().Addr().String(), Port: int(p.Addr().Port()),
	}
	v.Params.Add("branch", branch)
	v.Params.Add("rport", "")
	r.RemoveHeader("Via")
	r.PrependHeader(v)
	return branch
}

func transportName(s string) string {
	if s == "tcp" {
		return "TCP"
	}
	return "UDP"
}

// transact sends a request and waits for its final response, repeating it on UDP until something comes. early is told of
// provisional ones.
func (p *Phone) transact(ctx context.Context, r *msg.Request, to string, early func(*msg.Response)) (*msg.Response, error) {
	branch := r.Via().Params.GetOr("branch", "")
	key := branch + string(r.Method)
	answers := make(chan *msg.Response, 16)
	p.mu.Lock()
	p.pending[key] = answers
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.pending, key)
		p.mu.Unlock()
	}()
	text := []byte(r.String())
	if err := p.wire.send(ctx, text, to); err != nil {
		return nil, fmt.Errorf("send %s: %w", r.Method, err)
	}
	repeat, every := time.NewTimer(phoneT1), phoneT1
	defer repeat.Stop()
	limit := time.NewTimer(phoneTB)
	defer limit.Stop()
	for {
		select {
		case res := <-answers:
			if !res.IsProvisional() {
				return res, nil
			}
			repeat.Stop()
			if r.Method == msg.INVITE {
				limit.Stop() // from here the caller's patience counts
			}
			if early != nil {
				early(res)
			}
		case <-repeat.C:
			if p.cfg.Transport == "udp" {
				_ = p.wire.send(ctx, text, to)
				every = min(2*every, phoneT2)
				repeat.Reset(every)
			}
		case <-limit.C:
			return nil, fmt.Errorf("%s: %w", r.Method, errPhoneTimeout)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// takeResponse hands a response to its transaction, or acknowledges a repeated 200.
func (p *Phone) takeResponse(res *msg.Response) {
	if res.Via() == nil || res.CSeq() == nil || res.CallID() == nil {
		return
	}
	key := res.Via().Params.GetOr("branch", "") + string(res.CSeq().MethodName)
	p.mu.Lock()
	answers, c := p.pending[key], p.byID[string(*res.CallID())]
	p.mu.Unlock()
	if answers != nil {
		select {
		case answers <- res:
		default: // the far end repeats itself faster than we listen
		}
		return
	}
	if c != nil && res.IsSuccess() && res.CSeq().MethodName == msg.INVITE {
		c.repeatAck(res.CSeq().SeqNo)
	}
}

// authorize answers a digest challenge on the request. It reports whether there was one it could answer.
func (p *Phone) authorize(r *msg.Request, res *msg.Response) bool {
	ask, reply := "WWW-Authenticate", "Authorization"
	if res.StatusCode == 407 {
		ask, reply = "Proxy-Authenticate", "Proxy-Authorization"
	}
	if res.StatusCode != 401 && res.StatusCode != 407 || p.cfg.Password == "" {
		return false
	}
	var best *digest.Challenge
	for _, h := range res.GetHeaders(ask) {
		c, err := digest.ParseChallenge(h.Value())
		if err == nil && digest.CanDigest(c) && (best == nil || c.Algorithm == "SHA-256") {
			best = c
		}
	}
	if best == nil {
		return false
	}
	cred, err := digest.Digest(best, digest.Options{
		Method: string(r.Method), URI: r.Recipient.String(), Username: p.cfg.User, Password: p.cfg.Password, Count: 1,
	})
	if err != nil {
		return false
	}
	r.RemoveHeader(reply)
	r.AppendHeader(msg.NewHeader(reply, cred.String()))
	return true
}

// request runs a request outside a dialog, with one digest round.
func (p *Phone) request(ctx context.Context, r *msg.Request, to string, early func(*msg.Response)) (*msg.Response, error) {
	for round := 0; ; round++ {
		p.addVia(r)
		res, err := p.transact(ctx, r, to, early)
		if err != nil || round == 2 || !p.authorize(r, res) {
			return res, err
		}
		if r.Method == msg.INVITE {
			p.ackFailure(r, res, to)
		}
		r.CSeq().SeqNo++
	}
}

// ackFailure acknowledges a final response that is no 2xx: same branch, hop by hop (RFC 3261 §17.1.1.3).
func (p *Phone) ackFailure(invite *msg.Request, res *msg.Response, to string) {
	ack := p.newRequest(msg.ACK, invite.Recipient)
	ack.PrependHeader(msg.HeaderClone(invite.Via()))
	ack.AppendHeader(msg.HeaderClone(invite.From()))
	if res.To() != nil {
		ack.AppendHeader(msg.HeaderClone(res.To()))
	}
	ack.AppendHeader(msg.HeaderClone(invite.CallID()))
	ack.AppendHeader(&msg.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: msg.ACK})
	for _, h := range invite.GetHeaders("Route") {
		ack.AppendHeader(msg.HeaderClone(h))
	}
	ack.SetBody(nil)
	_ = p.wire.send(p.ctx, []byte(ack.String()), to)
}

// Register registers the phone and keeps it registered until Close. It returns when the registrar first said yes.
func (p *Phone) Register(ctx context.Context) error {
	if p.cfg.Registrar == "" {
		return errors.New("register phone: no registrar")
	}
	if err := p.register(ctx, p.cfg.Expires); err != nil {
		return err
	}
	p.mu.Lock()
	again := p.bound
	p.bound = true
	p.mu.Unlock()
	if !again {
		p.do(p.keepRegistered)
	}
	return nil
}

func (p *Phone) keepRegistered() {
	t := time.NewTicker(max(p.cfg.Expires/2, 100*time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-t.C:
			ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
			if err := p.register(ctx, p.cfg.Expires); err != nil && p.ctx.Err() == nil {
				p.log.Warn("registration not renewed", "err", err)
			}
			cancel()
		}
	}
}

func (p *Phone) register(ctx context.Context, expires time.Duration) error {
	r := p.newRequest(msg.REGISTER, msg.Uri{Scheme: "sip", Host: p.cfg.Domain})
	from := &msg.FromHeader{Address: p.aor()}
	from.Params.Add("tag", p.tag)
	id := msg.CallIDHeader(p.regID)
	r.AppendHeader(from)
	r.AppendHeader(&msg.ToHeader{Address: p.aor()})
	r.AppendHeader(&id)
	r.AppendHeader(&msg.CSeqHeader{SeqNo: p.regCSeq.Add(4), MethodName: msg.REGISTER}) // room for digest rounds
	r.AppendHeader(p.contact())
	r.AppendHeader(msg.NewHeader("Expires", strconv.Itoa(int((expires+time.Second-1)/time.Second))))
	r.SetBody(nil)
	res, err := p.request(ctx, r, p.cfg.Registrar, nil)
	if err != nil {
		return fmt.Errorf("register phone %q: %w", p.cfg.User, err)
	}
	if !res.IsSuccess() {
		return fmt.Errorf("register phone %q: %d %s", p.cfg.User, res.StatusCode, res.Reason)
	}
	return nil
}

// hostPort is where a URI points.
func hostPort(u msg.Uri) string {
	port := u.Port
	if port == 0 {
		port = 5060
	}
	return net.JoinHostPort(u.Host, strconv.Itoa(port))
}
