package frontdesk

import (
	"context"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/policy"
)

// slowLive lets something happen while Meta is asked about a customer.
type slowLive struct {
	*fakeNumber
	meanwhile func()
}

func (s *slowLive) Live(ctx context.Context, c bridge.Customer) (policy.Live, error) {
	l, err := s.fakeNumber.Live(ctx, c)
	s.meanwhile()
	return l, err
}

// slowList lets something happen while Meta lists templates.
type slowList struct {
	*fakeNumber
	meanwhile func()
}

func (s *slowList) Templates(ctx context.Context) ([]graph.Template, error) {
	l, err := s.fakeNumber.Templates(ctx)
	s.meanwhile()
	return l, err
}
