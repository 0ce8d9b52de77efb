package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"deskbridge/bridge"
)

type customerDetail struct {
	Customer customerView       `json:"customer"`
	Lines    []customerLineView `json:"lines" nullable:"false"`
}

type customerLineView struct {
	Line        string     `json:"line"`
	Name        string     `json:"name"`
	Permission  Permission `json:"permission"`
	WindowUntil time.Time  `json:"window_until,omitzero" doc:"Free text may be sent until then; absent: templates only."`
	Call        Decision   `json:"call"`
	Ask         Decision   `json:"ask"`
	Button      Decision   `json:"button"`
}

func customerOf(c bridge.Customer) customerView {
	return customerView{ID: c.ID, Name: clean(c.Name), Phone: clean(c.Phone), Username: clean(c.Username), Alias: c.Alias, Erased: c.Name == "" && c.Phone == "" && c.BSUID == ""}
}

func (s *Server) addCustomers() {
	read := operation{tag: "customers", role: Agent, scope: "customers:read"}
	write := operation{tag: "customers", role: Agent, scope: "customers:write"}
	add(s, read.at("get-customer", http.MethodGet, "/customers/{id}", "A customer, and what may be done over each line"), s.getCustomer)
	add(s, read.at("get-timeline", http.MethodGet, "/customers/{id}/timeline", "What happened with a customer, the newest first"), s.getTimeline)
	write.status = http.StatusOK
	add(s, write.at("ask-customer", http.MethodPost, "/customers/{id}/ask", "Ask a customer for the permission to call"), s.askCustomer)
	add(s, write.at("send-button", http.MethodPost, "/customers/{id}/button", "Send a customer a call button"), s.sendButton)
	add(s, write.at("send-message", http.MethodPost, "/customers/{id}/message", "Send a customer text inside the message window, or a template"), s.sendMessage)
	add(s, operation{id: "call-customer", method: http.MethodPost, path: "/customers/{id}/call", summary: "Ring my telephone, then the customer", tag: "customers", role: Agent, scope: "live:write", status: http.StatusOK}, s.callCustomer)
	s.addCustomerOrders()
}

// customer is ErrNotFound for one whom the asker may not see.
func (s *Server) customer(ctx context.Context, id string) (c bridge.Customer, scope Scope, err error) {
	if scope, err = s.scope(ctx); err != nil {
		return c, scope, err
	}
	c, err = s.customers.Customer(ctx, id, scope)
	return c, scope, err
}

func (s *Server) getCustomer(ctx context.Context, in *byID) (*body[customerDetail], error) {
	c, _, err := s.customer(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	lines, err := s.customers.CustomerLines(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	d := customerDetail{Customer: customerOf(c), Lines: []customerLineView{}}
	for _, l := range lines {
		d.Lines = append(d.Lines, customerLineView{Line: l.Line, Name: l.Name, Permission: permissionView(l.Permission), WindowUntil: utc(l.Window),
			Call: decisionView(l.Call), Ask: decisionView(l.Ask), Button: decisionView(l.Button)})
	}
	return answerWith(d, nil)
}

type sendAsk struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Line     string       `json:"line" minLength:"1" maxLength:"64"`
		Text     string       `json:"text,omitempty" maxLength:"1024" doc:"Inside the message window; absent: the line's own words."`
		Template *templateUse `json:"template,omitempty" doc:"Sent instead of free text; absent: the line's own, where one is needed."`
	}
}

type sendMessage struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Line     string       `json:"line" minLength:"1" maxLength:"64"`
		Text     string       `json:"text,omitempty" maxLength:"4096"`
		Template *templateUse `json:"template,omitempty"`
	}
}

type templateUse struct {
	Name       string   `json:"name" minLength:"1" maxLength:"512"`
	Language   string   `json:"language,omitempty" maxLength:"16"`
	Parameters []string `json:"parameters,omitempty" maxItems:"32"`
}

type sendButton struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Line string `json:"line" minLength:"1" maxLength:"64"`
		Text string `json:"text,omitempty" maxLength:"1024"`
	}
}

type sentView struct {
	Sent     bool         `json:"sent"`
	Decision Decision     `json:"decision"`
	Message  *messageView `json:"message,omitempty"`
	Problem  string       `json:"problem,omitempty" doc:"Why an allowed message was not sent, or may not have been."`
}

type messageView struct {
	ID       string    `json:"id"`
	Line     string    `json:"line"`
	Out      bool      `json:"out" doc:"From us to the customer."`
	Kind     string    `json:"kind" doc:"text, permission_request, call_button, closed, or what the customer sent."`
	Text     string    `json:"text,omitempty"`
	Template string    `json:"template,omitempty"`
	Status   string    `json:"status" enum:"received,sending,accepted,sent,failed,delivered,read"`
	By       string    `json:"by,omitempty" example:"user:anna"`
	At       time.Time `json:"at"`
}

func messageOf(m MessageRecord) messageView {
	return messageView{ID: m.ID, Line: m.Line, Out: m.Out, Kind: m.Kind, Text: cleanText(m.Text), Template: m.Template, Status: m.Status, By: m.By, At: m.At.UTC()}
}

// cleanText is clean for a text of several lines.
func cleanText(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

func (s *Server) askCustomer(ctx context.Context, in *sendAsk) (*body[sentView], error) {
	return s.send(ctx, "customer.asked", order(in.ID, in.Body.Line, in.Body.Text, in.Body.Template), s.customers.Ask)
}

func (s *Server) sendButton(ctx context.Context, in *sendButton) (*body[sentView], error) {
	return s.send(ctx, "customer.button_sent", order(in.ID, in.Body.Line, in.Body.Text, nil), s.customers.SendButton)
}

func (s *Server) sendMessage(ctx context.Context, in *sendMessage) (*body[sentView], error) {
	if (strings.TrimSpace(in.Body.Text) == "") == (in.Body.Template == nil) {
		return nil, problem(http.StatusUnprocessableEntity, "A message is either a text or a template.")
	}
	return s.send(ctx, "customer.written_to", order(in.ID, in.Body.Line, in.Body.Text, in.Body.Template), s.customers.SendMessage)
}

func order(id, line, text string, t *templateUse) DeskOrder {
	o := DeskOrder{Line: line, Customer: id, Text: strings.TrimSpace(strings.ToValidUTF8(text, ""))}
	if t != nil {
		o.Template, o.Language, o.Parameters = t.Name, t.Language, t.Parameters
	}
	return o
}

// send does one order. Its words are kept with the message, sealed under the customer's key, and not in the audit log.
func (s *Server) send(ctx context.Context, action string, o DeskOrder, do func(context.Context, DeskOrder) (DeskSent, error)) (*body[sentView], error) {
	c, _, err := s.customer(ctx, o.Customer)
	if err != nil {
		return nil, err
	}
	o.Customer, o.By = c.ID, s.byUser(ctx)
	what := map[string]string{"line": o.Line}
	if o.Template != "" {
		what["template"] = o.Template
	}
	if err := s.audit.Record(ctx, s.accounts.event(actor(ctx), action, "customer:"+c.ID, nil, what)); err != nil {
		return nil, err
	}
	got, err := do(ctx, o)
	if err != nil {
		return nil, err
	}
	v := sentView{Sent: got.Sent, Decision: decisionView(got.Decision), Problem: got.Problem}
	if got.Message != nil {
		m := messageOf(*got.Message)
		v.Message = &m
	}
	return answerWith(v, nil)
}

// byUser names the asker in records outside of the audit log.
func (s *Server) byUser(ctx context.Context) string { return "user:" + principalOf(ctx).user.Login }

type callCustomer struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Line string `json:"line" minLength:"1" maxLength:"64"`
	}
}

type callBegun struct {
	Call string `json:"call" doc:"ID of the call, among the running ones now."`
}

func (s *Server) callCustomer(ctx context.Context, in *callCustomer) (*body[callBegun], error) {
	c, _, err := s.customer(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	targets := principalOf(ctx).user.Targets
	if len(targets) == 0 {
		return nil, problem(http.StatusConflict, "You have no telephone that could ring: an admin names one in your account.").as("no_telephone")
	}
	if err := s.audit.Record(ctx, s.accounts.event(actor(ctx), "customer.called", "customer:"+c.ID, nil, map[string]string{"line": in.Body.Line, "telephone": targets[0]})); err != nil {
		return nil, err
	}
	call, d, err := s.customers.CallCustomer(ctx, in.Body.Line, c.ID, targets[0])
	switch {
	case err != nil:
		return nil, err
	case call == "":
		return nil, problem(http.StatusConflict, d.Sentence).as("refused")
	}
	return answerWith(callBegun{call}, nil)
}
