package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"deskbridge/bridge"
)

// callView is a call as the API shows it.
type callView struct {
	ID          string       `json:"id"`
	Group       string       `json:"group" enum:"incoming,outgoing,missed,canceled,running"`
	Direction   string       `json:"direction" enum:"inbound,outbound"`
	State       string       `json:"state"`
	Line        string       `json:"line"`
	LineName    string       `json:"line_name,omitempty"`
	Customer    customerView `json:"customer"`
	Agent       string       `json:"agent,omitempty" example:"phone:1001" doc:"Who answered or dialled; absent while nobody did."`
	AgentName   string       `json:"agent_name,omitempty"`
	Dialled     string       `json:"dialled,omitempty"`
	Payload     string       `json:"payload,omitempty" doc:"Of the link or button the customer called with."`
	Reason      string       `json:"reason,omitempty" doc:"Why it ended, a stable code such as hangup, no_answer, declined, refused."`
	Fault       string       `json:"fault,omitempty" enum:"nobody,caller,callee,policy,upstream,us,unknown"`
	Rule        string       `json:"rule,omitempty" doc:"Of the policy, when it refused the call."`
	Text        string       `json:"text,omitempty" doc:"The reason in words."`
	OfferedAt   time.Time    `json:"offered_at"`
	RangAt      time.Time    `json:"rang_at,omitzero"`
	AnsweredAt  time.Time    `json:"answered_at,omitzero"`
	EndedAt     time.Time    `json:"ended_at,omitzero"`
	RingSeconds float64      `json:"ring_seconds"`
	TalkSeconds float64      `json:"talk_seconds"`
}

type customerView struct {
	ID       string `json:"id,omitempty"`
	Name     string `json:"name,omitempty"`
	Phone    string `json:"phone,omitempty" doc:"Digits with country code, without +."`
	Username string `json:"username,omitempty"`
	Alias    string `json:"alias,omitempty" doc:"What to dial for a customer without a number."`
	Erased   bool   `json:"erased" doc:"Nothing personal is known (any more)."`
}

func (n nameBook) view(r CallRecord, now time.Time) callView {
	c := r.CDR
	v := callView{
		ID: c.ID, Group: r.Group, Direction: string(c.Direction), State: c.State, Line: c.Line, LineName: n.lines[c.Line],
		Customer: customerView{ID: c.Customer.ID, Name: clean(c.Customer.Name), Phone: clean(c.Customer.Phone), Username: clean(c.Customer.Username), Alias: c.Customer.Alias,
			Erased: c.Customer.Name == "" && c.Customer.Phone == "" && c.Customer.BSUID == ""},
		Agent: clean(c.Agent), AgentName: n.agents[c.Agent], Dialled: clean(c.Dialled), Payload: clean(c.Payload),
		Reason: string(c.Cause.Reason), Fault: string(c.Cause.Fault), Rule: c.Cause.Rule, Text: clean(c.Cause.Text),
		OfferedAt: c.OfferedAt.UTC(), RangAt: utc(c.RangAt), AnsweredAt: utc(c.AnsweredAt), EndedAt: utc(c.EndedAt), TalkSeconds: seconds(r.Talk),
	}
	if end := firstSet(c.AnsweredAt, c.EndedAt, now); !c.RangAt.IsZero() && end.After(c.RangAt) {
		v.RingSeconds = seconds(end.Sub(c.RangAt))
	}
	return v
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

func firstSet(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// CallFilter is the filter of lists, counts and exports.
type CallFilter struct {
	Q           string    `query:"q" maxLength:"100" doc:"Beginnings of words of the customer's name, number or its last digits (3 and more), agent's name or extension, call ID."`
	Group       string    `query:"group" enum:"incoming,outgoing,missed,canceled"`
	Line        string    `query:"line" maxLength:"64"`
	Agent       string    `query:"agent" maxLength:"64" doc:"phone:EXTENSION, trunk:NAME/NUMBER, or the ID of a user: all their telephones."`
	Team        string    `query:"team" maxLength:"64"`
	Reason      string    `query:"reason" maxLength:"64"`
	From        time.Time `query:"from" doc:"Offered at or after."`
	To          time.Time `query:"to" doc:"Offered before."`
	MinDuration int       `query:"min_duration" minimum:"0" maximum:"4000000" doc:"Seconds talked."`
	MaxDuration int       `query:"max_duration" minimum:"0" maximum:"4000000" doc:"Seconds talked; 0: no limit."`
	Sort        string    `query:"sort" enum:"newest,oldest,longest,shortest" default:"newest"`
}

type listCalls struct {
	CallFilter
	After string `query:"after" maxLength:"256" doc:"next of the page before."`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type callPage struct {
	Calls []callView `json:"calls" nullable:"false"`
	Next  string     `json:"next,omitempty" doc:"A page may hold fewer calls than asked for and still have a next: a filter that few of very many calls match is worked off in steps."`
}

type countCalls struct{ CallFilter }

func (s *Server) addCalls() {
	read := operation{tag: "calls", role: Agent, scope: "calls:read"}
	add(s, read.at("list-calls", http.MethodGet, "/calls", "Ended calls"), s.listCalls)
	add(s, read.at("count-calls", http.MethodGet, "/calls/counts", "Numbers of ended calls by group, whatever the group filtered by"),
		func(ctx context.Context, in *countCalls) (*body[CallCounts], error) {
			q, err := s.query(ctx, in.CallFilter)
			if err != nil {
				return nil, err
			}
			return answerWith(s.calls.CountCalls(ctx, q))
		})
	add(s, read.at("get-call", http.MethodGet, "/calls/{id}", "One call with its timeline"), s.getCall)
	add(s, operation{id: "set-note", method: http.MethodPut, path: "/calls/{id}/note", summary: "Write a note, tags and disposition on a call", tag: "calls", role: Agent, scope: "calls:write"}, s.setNote)
}

// query makes a filter a query within what the asker sees.
func (s *Server) query(ctx context.Context, f CallFilter) (q CallQuery, err error) {
	q = CallQuery{Text: strings.TrimSpace(f.Q), Group: f.Group, Line: f.Line, Reason: f.Reason, From: f.From, To: f.To, Sort: f.Sort,
		MinTalk: time.Duration(f.MinDuration) * time.Second, MaxTalk: time.Duration(f.MaxDuration) * time.Second}
	if !utf8.ValidString(q.Text) || f.MaxDuration > 0 && f.MaxDuration < f.MinDuration || !f.To.IsZero() && f.To.Before(f.From) {
		return q, problem(http.StatusUnprocessableEntity, "The filter's bounds contradict each other, or its text is not UTF-8.")
	}
	if q.Scope, err = s.scope(ctx); err != nil {
		return q, err
	}
	if f.Team != "" {
		if q.Targets, err = s.accounts.teamScope(ctx, f.Team); err != nil {
			return q, err
		}
	}
	if f.Agent != "" {
		targets := []string{f.Agent}
		if !targetForm.MatchString(f.Agent) {
			acc, err := s.accounts.get(ctx, f.Agent)
			if err != nil {
				return q, problem(http.StatusUnprocessableEntity, "There is no such agent.")
			}
			targets = acc.Targets
		}
		q.Targets = narrow(q.Targets, targets)
	}
	if q.Text != "" {
		q.TextTargets, err = s.targetsNamed(ctx, q.Text)
	}
	return q, err
}

// narrow is the calls handled by targets among those of a team.
func narrow(team *Scope, targets []string) *Scope {
	if team != nil {
		targets = slices.DeleteFunc(slices.Clone(targets), func(t string) bool { return !slices.Contains(team.Targets, t) })
	}
	return &Scope{Targets: append([]string{}, targets...)}
}

// targetsNamed are the telephones whose person's name contains the text, or whose number it is.
func (s *Server) targetsNamed(ctx context.Context, text string) (targets []string, err error) {
	names, err := s.names(ctx)
	if err != nil {
		return nil, err
	}
	text = strings.ToLower(text)
	for target, name := range names.agents {
		number := target[strings.LastIndexAny(target, ":/")+1:]
		if target == text || number == text || len(text) >= 3 && strings.Contains(strings.ToLower(name), text) {
			targets = append(targets, target)
		}
	}
	slices.Sort(targets)
	return targets, nil
}

func (s *Server) listCalls(ctx context.Context, in *listCalls) (*body[callPage], error) {
	q, err := s.query(ctx, in.CallFilter)
	if err != nil {
		return nil, err
	}
	q.After, q.Limit = in.After, in.Limit
	found, err := s.calls.SearchCalls(ctx, q)
	if err != nil {
		return nil, err
	}
	names, err := s.names(ctx)
	if err != nil {
		return nil, err
	}
	p := callPage{Calls: []callView{}, Next: found.Next}
	for _, c := range found.Calls {
		p.Calls = append(p.Calls, names.view(c, s.now()))
	}
	return answerWith(p, nil)
}

// callDetail is everything about one call.
type callDetail struct {
	Call     callView   `json:"call"`
	Wacid    string     `json:"wacid,omitempty" doc:"Meta's ID of the call."`
	Legs     []legView  `json:"legs" nullable:"false"`
	Timeline []CallFact `json:"timeline" nullable:"false"`
	Note     *Note      `json:"note,omitempty"`
}

type legView struct {
	Kind    string      `json:"kind" enum:"whatsapp,sip,menu"`
	Peer    string      `json:"peer,omitempty"`
	Remote  string      `json:"remote,omitempty"`
	Codec   string      `json:"codec,omitempty"`
	CallID  string      `json:"call_id,omitempty" doc:"The far side's name for the leg."`
	Fault   string      `json:"fault,omitempty"`
	Reason  string      `json:"reason,omitempty"`
	Text    string      `json:"text,omitempty"`
	Code    int         `json:"code,omitempty"`
	Quality qualityView `json:"quality"`
}

type qualityView struct {
	Received   uint64   `json:"packets_received"`
	Lost       uint64   `json:"packets_lost"`
	Late       uint64   `json:"packets_late"`
	Sent       uint64   `json:"packets_sent"`
	Jitter     float64  `json:"jitter_ms"`
	RTT        *float64 `json:"rtt_ms,omitempty" doc:"Absent while unknown."`
	RemoteLoss *float64 `json:"remote_loss,omitempty" doc:"Fraction the far end reports lost; absent while unknown."`
}

func legOf(l bridge.LegRecord) legView {
	v := legView{Kind: string(l.Kind), Peer: l.Peer, Remote: clean(l.Remote), Codec: l.Codec, CallID: clean(l.CallID), Fault: string(l.Cause.Fault),
		Reason: string(l.Cause.Reason), Text: clean(l.Cause.Text), Code: l.Cause.Code}
	st := l.Stats
	v.Quality = qualityView{Received: st.Received, Lost: st.Lost, Late: st.Late, Sent: st.Sent, Jitter: ms(st.Jitter)}
	if st.RTT > 0 {
		rtt := ms(st.RTT)
		v.Quality.RTT = &rtt
	}
	if st.RemoteLoss >= 0 {
		loss := st.RemoteLoss
		v.Quality.RemoteLoss = &loss
	}
	return v
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (s *Server) getCall(ctx context.Context, in *byID) (*body[callDetail], error) {
	scope, err := s.scope(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.calls.Call(ctx, in.ID, scope)
	if err != nil {
		return nil, err
	}
	facts, note, err := s.calls.Timeline(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	names, err := s.names(ctx)
	if err != nil {
		return nil, err
	}
	d := callDetail{Call: names.view(c, s.now()), Wacid: clean(c.Wacid), Legs: []legView{}, Timeline: append([]CallFact{}, facts...), Note: note}
	for _, l := range c.Legs {
		d.Legs = append(d.Legs, legOf(l))
	}
	return answerWith(d, nil)
}

type setNote struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Text        string   `json:"text,omitempty" maxLength:"4000"`
		Tags        []string `json:"tags,omitempty" maxItems:"16"`
		Disposition string   `json:"disposition,omitempty" maxLength:"64"`
	}
}

func (s *Server) setNote(ctx context.Context, in *setNote) (*body[Note], error) {
	scope, err := s.scope(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.calls.Call(ctx, in.ID, scope); err != nil {
		return nil, err
	}
	n := Note{Text: strings.ToValidUTF8(in.Body.Text, ""), Tags: tidy(in.Body.Tags), Disposition: strings.TrimSpace(in.Body.Disposition), By: principalOf(ctx).user.Login, At: s.now().UTC()}
	if !printable(n.Disposition, 64) || slices.ContainsFunc(n.Tags, func(t string) bool { return !printable(t, 64) }) {
		return nil, problem(http.StatusUnprocessableEntity, "Tags and disposition have at most 64 printable characters.")
	}
	// The text is about a customer: it is kept with the call, sealed under the customer's key, and not in the audit log.
	err = s.calls.SetNote(ctx, in.ID, n, s.accounts.event(actor(ctx), "note.changed", "call:"+in.ID, nil, nil))
	return answerWith(n, err)
}
