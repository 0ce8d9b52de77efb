package store

import (
	"errors"
	"testing"
)

func TestANewNumberOrUserIDStaysTheSameCustomer(t *testing.T) {
	for name, x := range map[string]struct {
		seenFirst     bool // under the new identity, before Meta tells of the change
		after         Identity
		phone, bsuid  string
		oldPhoneLeads bool
	}{
		"new number told":                {after: Identity{Phone: "4915199999999", BSUID: "DE.NEW1"}, phone: "4915199999999", bsuid: "DE.NEW1"},
		"new number not told":            {after: Identity{BSUID: "DE.NEW1"}, phone: "", bsuid: "DE.NEW1"},
		"seen under the new one already": {seenFirst: true, after: Identity{Phone: "4915199999999", BSUID: "DE.NEW1"}, phone: "4915199999999", bsuid: "DE.NEW1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, testConfig(t.TempDir()))
			ctx := t.Context()
			was, err := s.Resolve(ctx, Identity{Phone: "4915112345678", BSUID: "DE.OLD1", Name: "Sari"})
			if err != nil {
				t.Fatal(err)
			}
			if x.seenFirst {
				if _, err := s.Resolve(ctx, x.after); err != nil {
					t.Fatal(err)
				}
			}
			c, err := s.ChangeIdentity(ctx, Identity{BSUID: "DE.OLD1"}, x.after)
			if err != nil || c.ID != was.ID || c.Phone != x.phone || c.BSUID != x.bsuid || c.Name != "Sari" {
				t.Fatalf("%+v, %v", c, err)
			}
			if again, err := s.Resolve(ctx, x.after); err != nil || again.ID != was.ID {
				t.Errorf("the new identity leads to %+v, %v", again, err)
			}
			if x.phone == "" {
				if other, err := s.Resolve(ctx, Identity{Phone: "4915112345678", BSUID: "DE.OTHER"}); err != nil || other.ID == was.ID {
					t.Errorf("who has the number now is taken for its former owner: %+v, %v", other, err)
				}
			}
			if err := s.Rebuild(ctx); err != nil {
				t.Fatal(err)
			}
			if again, err := s.Resolve(ctx, x.after); err != nil || again.ID != was.ID {
				t.Errorf("after a rebuild: %+v, %v", again, err)
			}
		})
	}
}

func TestAChangeOfSomebodyUnknownIsNotFound(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	if _, err := s.ChangeIdentity(t.Context(), Identity{BSUID: "DE.X"}, Identity{BSUID: "DE.Y"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
