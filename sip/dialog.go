package sip

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	msg "github.com/emiago/sipgo/sip"
)

// flow is where the messages of a peer go: a transport and an address. It comes from settings, DNS or the source of an
// authenticated request, never from a header ("Addresses are claims", reliability.md).
type flow struct {
	transport string // "UDP" or "TCP"
	addr      netip.AddrPort
	// reuse forbids dialling: a phone behind NAT is reached down the connection it opened, or not at all.
	reuse bool
}

func (f flow) String() string { return strings.ToLower(f.transport) + ":" + f.addr.String() }

// dialog is the state of RFC 3261 §12 that requests inside it are built from. sipgo's own dialog types keep the first
// Contact for ever and load and store CSeq separately; here target refresh and CSeq share one lock.
type dialog struct {
	mu        sync.Mutex
	callID    string
	localTag  string
	remoteTag string
	local     msg.Uri // From of our requests
	remote    msg.Uri // To of our requests
	target    msg.Uri // remote target: Request-URI of our requests
	routes    []msg.Uri
	localSeq  uint32
	remoteSeq uint32
	flow      flow
}

// newServerDialog makes the dialog of an INVITE we received (RFC 3261 §12.1.1).
func newServerDialog(req *msg.Request, localTag string, f flow) *dialog {
	d := &dialog{
		callID: req.CallID().Value(), localTag: localTag,
		local: *req.To().Address.Clone(), remote: *req.From().Address.Clone(),
		remoteSeq: req.CSeq().SeqNo, localSeq: randomSeq(), flow: f,
	}
	d.remoteTag, _ = req.From().Params.Get("tag")
	d.target = *req.From().Address.Clone()
	if c := req.Contact(); c != nil && !c.Address.Wildcard {
		d.target = *c.Address.Clone()
	}
	for _, h := range req.GetHeaders("Record-Route") {
		if rr, ok := h.(*msg.RecordRouteHeader); ok {
			d.routes = append(d.routes, *rr.Address.Clone())
		}
	}
	return d
}

// confirm takes route set, tag and target from a response that makes or confirms the dialog (RFC 3261 §12.1.2).
func (d *dialog) confirm(res *msg.Response) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if to := res.To(); to != nil {
		d.remoteTag, _ = to.Params.Get("tag")
	}
	if c := res.Contact(); c != nil && !c.Address.Wildcard {
		d.target = *c.Address.Clone()
	}
	d.routes = nil
	rr := res.GetHeaders("Record-Route")
	for i := len(rr) - 1; i >= 0; i-- { // the UAC reverses them
		if h, ok := rr[i].(*msg.RecordRouteHeader); ok {
			d.routes = append(d.routes, *h.Address.Clone())
		}
	}
}

// fork is the dialog of another 2xx to the same INVITE.
func (d *dialog) fork(res *msg.Response) *dialog {
	d.mu.Lock()
	n := &dialog{
		callID: d.callID, localTag: d.localTag, local: d.local, remote: d.remote,
		target: d.target, localSeq: d.localSeq, flow: d.flow,
	}
	d.mu.Unlock()
	n.confirm(res)
	return n
}

// refresh sets the remote target from a target refresh request or its response (RFC 3261 §12.2).
func (d *dialog) refresh(c *msg.ContactHeader) {
	if c == nil || c.Address.Wildcard {
		return
	}
	d.mu.Lock()
	d.target = *c.Address.Clone()
	d.mu.Unlock()
}

// accepts checks and takes the CSeq of a request inside the dialog. A lower one is out of order: 500 (RFC 3261 §12.2.2).
func (d *dialog) accepts(seq uint32) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if seq <= d.remoteSeq && d.remoteSeq != 0 {
		return false
	}
	d.remoteSeq = seq
	return true
}

// next takes the next CSeq of ours.
func (d *dialog) next() uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.localSeq++
	return d.localSeq
}

// matches tells whether a request belongs to this dialog, seen from our side.
func (d *dialog) matches(remoteTag string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.remoteTag == "" || d.remoteTag == remoteTag
}

func (d *dialog) where() flow {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.flow
}

// request builds a request inside the dialog without Via and Contact, which depend on the sending socket.
func (d *dialog) request(method msg.RequestMethod, seq uint32) *msg.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	uri, routes := d.target, d.routes
	if len(routes) > 0 && !hasParam(routes[0].UriParams, "lr") {
		// A strict router (RFC 3261 §12.2.1.1): it becomes the Request-URI, the target goes last.
		uri = routes[0]
		routes = append(append([]msg.Uri{}, routes[1:]...), d.target)
	}
	req := msg.NewRequest(method, *uri.Clone())
	for _, r := range routes {
		req.AppendHeader(&msg.RouteHeader{Address: *r.Clone()})
	}
	appendIDs(req, d.callID, msg.FromHeader{Address: d.local}, d.localTag, msg.ToHeader{Address: d.remote}, d.remoteTag, seq)
	return req
}

func appendIDs(req *msg.Request, callID string, from msg.FromHeader, fromTag string, to msg.ToHeader, toTag string, seq uint32) {
	from.Address, to.Address = *from.Address.Clone(), *to.Address.Clone()
	from.Params, to.Params = nil, nil
	if fromTag != "" {
		from.Params.Add("tag", fromTag)
	}
	if toTag != "" {
		to.Params.Add("tag", toTag)
	}
	id := msg.CallIDHeader(callID)
	mf := msg.MaxForwardsHeader(70)
	req.AppendHeader(&mf)
	req.AppendHeader(&from)
	req.AppendHeader(&to)
	req.AppendHeader(&id)
	req.AppendHeader(&msg.CSeqHeader{SeqNo: seq, MethodName: req.Method})
}

func hasParam(p msg.HeaderParams, name string) bool {
	for _, kv := range p {
		if strings.EqualFold(kv.K, name) {
			return true
		}
	}
	return false
}

// savedDialog is a dialog as bridge.LegRecord keeps it, so that a new process can end what a dead one left.
type savedDialog struct {
	Peer      string   `json:"peer"`
	CallID    string   `json:"call_id"`
	LocalTag  string   `json:"local_tag"`
	RemoteTag string   `json:"remote_tag,omitempty"`
	Local     string   `json:"local"`
	Remote    string   `json:"remote"`
	Target    string   `json:"target"`
	Routes    []string `json:"routes,omitempty"`
	Seq       uint32   `json:"seq"`
	Transport string   `json:"transport"`
	Addr      string   `json:"addr"`
	Reuse     bool     `json:"reuse,omitempty"`
	// Via and URI are those of an INVITE of ours that has no final answer yet: CANCEL must repeat them (RFC 3261 §9.1).
	Via string `json:"via,omitempty"`
	URI string `json:"uri,omitempty"`
	// Refusal is the final answer to an INVITE of the far end that has none yet, as it goes over the wire.
	Refusal string `json:"refusal,omitempty"`
}

// seqHeadroom covers requests the dead process sent after its record was written.
const seqHeadroom = 1000

func (d *dialog) save(peer string) savedDialog {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := savedDialog{
		Peer: peer, CallID: d.callID, LocalTag: d.localTag, RemoteTag: d.remoteTag,
		Local: d.local.String(), Remote: d.remote.String(), Target: d.target.String(),
		Seq: d.localSeq, Transport: d.flow.transport, Addr: d.flow.addr.String(), Reuse: d.flow.reuse,
	}
	for i := range d.routes {
		s.Routes = append(s.Routes, d.routes[i].String())
	}
	return s
}

func (s savedDialog) dialog() (*dialog, error) {
	d := &dialog{callID: s.CallID, localTag: s.LocalTag, remoteTag: s.RemoteTag, localSeq: s.Seq}
	for _, p := range []struct {
		text string
		uri  *msg.Uri
	}{{s.Local, &d.local}, {s.Remote, &d.remote}, {s.Target, &d.target}} {
		if err := msg.ParseUri(p.text, p.uri); err != nil {
			return nil, fmt.Errorf("saved dialog: %w", err)
		}
	}
	for _, r := range s.Routes {
		var u msg.Uri
		if err := msg.ParseUri(r, &u); err != nil {
			return nil, fmt.Errorf("saved route: %w", err)
		}
		d.routes = append(d.routes, u)
	}
	addr, err := netip.ParseAddrPort(s.Addr)
	if err != nil {
		return nil, fmt.Errorf("saved address: %w", err)
	}
	d.flow = flow{transport: s.Transport, addr: addr, reuse: s.Reuse}
	return d, nil
}

func parseSaved(b []byte) ([]savedDialog, error) {
	if len(b) == 0 {
		return nil, ErrNoDialog
	}
	var s []savedDialog
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("read saved dialog: %w", err)
	}
	if len(s) == 0 {
		return nil, ErrNoDialog
	}
	return s, nil
}
