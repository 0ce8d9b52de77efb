package admin

import (
	"context"
	"net/http"
	"strings"
	"time"
)

type customerOrder struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"200"`
	}
}

type unblockCustomer struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Reason string `json:"reason,omitempty" maxLength:"200"`
	}
}

type overrideCustomer struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Line   string    `json:"line" minLength:"1" maxLength:"64"`
		Reason string    `json:"reason" minLength:"1" maxLength:"200"`
		Until  time.Time `json:"until" doc:"Within a day from now."`
	}
}

type decided struct {
	Decision Decision `json:"decision" doc:"How things stand with it. Where override is not set nothing was lifted: it is allowed as it is, or refused all the same."`
}

func (s *Server) addCustomerOrders() {
	order := operation{tag: "customers", role: Supervisor, scope: "customers:write", status: http.StatusNoContent}
	add(s, order.at("block-customer", http.MethodPost, "/customers/{id}/block", "Let no call and no message through to or from a customer"),
		func(ctx context.Context, in *customerOrder) (*nothing, error) {
			return nil, s.decide(ctx, in.ID, "customer.blocked", in.Body.Reason, s.customers.Block)
		})
	add(s, order.at("unblock-customer", http.MethodPost, "/customers/{id}/unblock", "End the block of a customer"),
		func(ctx context.Context, in *unblockCustomer) (*nothing, error) {
			return nil, s.decide(ctx, in.ID, "customer.unblocked", in.Body.Reason, s.customers.Unblock)
		})
	order.status = http.StatusOK
	add(s, order.at("override-customer", http.MethodPost, "/customers/{id}/override", "Lift the company's own limits of calls for a customer, never Meta's"), s.overrideCustomer)
}

// decide does what a person decides about a customer. The reason is kept with it, sealed, and not in the audit log.
func (s *Server) decide(ctx context.Context, id, action, reason string, do func(ctx context.Context, customer, by, reason string) error) error {
	c, _, err := s.customer(ctx, id)
	if err != nil {
		return err
	}
	if err := s.audit.Record(ctx, s.accounts.event(actor(ctx), action, "customer:"+c.ID, nil, nil)); err != nil {
		return err
	}
	return do(ctx, c.ID, s.byUser(ctx), strings.TrimSpace(reason))
}

func (s *Server) overrideCustomer(ctx context.Context, in *overrideCustomer) (*body[decided], error) {
	c, _, err := s.customer(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	what := map[string]string{"line": in.Body.Line, "until": stamp(in.Body.Until)}
	if err := s.audit.Record(ctx, s.accounts.event(actor(ctx), "customer.limits_lifted", "customer:"+c.ID, nil, what)); err != nil {
		return nil, err
	}
	d, err := s.customers.Override(ctx, in.Body.Line, c.ID, s.byUser(ctx), strings.TrimSpace(in.Body.Reason), in.Body.Until)
	return answerWith(decided{decisionView(d)}, err)
}
