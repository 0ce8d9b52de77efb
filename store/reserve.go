package store

import (
	"context"
	"fmt"

	"deskbridge/policy"
)

// Reservation is what Reserve did.
type Reservation struct {
	Reserved bool
	Event    policy.Event // what decide returned
	Version  uint64
}

// Reserve decides and counts in one step: decide sees the pair's state and the customer's over all lines, and returns the
// event to append (an attempt, a request) or false. Nothing else is written between what it sees and its event, so a limit
// holds however many agents dial; it is on stable storage when Reserve returns.
//
// RecordEvent with expect promises the same, but its losers have to read and decide again, each time behind another sync:
// with n agents dialling one customer, n rounds. Expect stays for decisions that need longer than the writer may wait, as
// when Meta is asked in between.
//
// decide runs in the writer, which all of the store waits for: it must be quick and pure, and may run more than once; the
// last run counts. When Reserve returns an error the event may have been counted all the same (ErrStuck, a ctx that
// ended), so don't do what it was to count.
func (s *Store) Reserve(ctx context.Context, line, customer string, decide func(pair, global policy.State) (policy.Event, bool)) (Reservation, error) {
	if err := checkPair(line, customer); err != nil {
		return Reservation{}, fmt.Errorf("reserve: %w", err)
	}
	var got Reservation
	_, err := s.submit(ctx, classInbox, func(t *tx) error {
		who, err := t.current(customer)
		if err != nil {
			return err
		}
		pair, global, err := t.policyState(line, who)
		if err != nil {
			return err
		}
		got = Reservation{Version: global.Version}
		got.Event, got.Reserved = decide(pair.state(), global.state())
		if !got.Reserved {
			return nil
		}
		if err := checkEvent(got.Event); err != nil {
			return err
		}
		got.Version, err = t.recordEvent(line, who, got.Event, nil)
		return err
	})
	if err != nil {
		return Reservation{}, fmt.Errorf("reserve: %w", err)
	}
	return got, nil
}
