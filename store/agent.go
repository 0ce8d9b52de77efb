package store

import (
	"context"
	"time"
)

// Availability says whether a target wants to be rung.
type Availability struct {
	Target    string    `json:"target"` // "phone:1001"
	Available bool      `json:"available"`
	Since     time.Time `json:"since"`
	By        string    `json:"by,omitempty"` // who said so: the phone itself, "user:anna"
}

func (a *Availability) id() string         { return a.Target }
func (a *Availability) who() *string       { return nil }
func (a *Availability) private() []*string { return nil }
func (a *Availability) rev() *uint64       { return nil }
func (a *Availability) about() []string    { return nil }

// The facts of an agent's availability.
const (
	factAgentAvailable   = "agent.available"
	factAgentUnavailable = "agent.unavailable"
)

var agentRows = rows[Availability, *Availability]{table: tabAgent, noun: "agent", kinds: []string{factAgentAvailable, factAgentUnavailable}}

// SetAvailability keeps whether a target wants to be rung; changed is false when it was so already.
func (s *Store) SetAvailability(ctx context.Context, a Availability) (changed bool, err error) {
	did := false
	_, _, err = agentRows.edit(ctx, s, edit{classInbox, a.Target, a.Since}, func(_ *tx, old *Availability, found bool) (string, error) {
		if did = !found && !a.Available || found && old.Available != a.Available; !did {
			return "", nil
		}
		*old = a
		if a.Available {
			return factAgentAvailable, nil
		}
		return factAgentUnavailable, nil
	})
	if err != nil {
		return false, wrap(err, "set availability")
	}
	return did, nil
}

// Availabilities are the targets that ever said so, by name. Who isn't among them is available.
func (s *Store) Availabilities(ctx context.Context) (all []Availability, err error) {
	err = s.view(ctx, func(t *tx) error {
		all, err = agentRows.all(ctx, t)
		return err
	})
	return all, wrap(err, "availabilities")
}

// Availability is one target's; who never said anything is available.
func (s *Store) Availability(ctx context.Context, target string) (a Availability, err error) {
	a = Availability{Target: target, Available: true}
	err = s.view(ctx, func(t *tx) error { return agentRows.loadInto(t, target, &a) })
	return a, err
}
