package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func testMessage(customer, wamid string) Message {
	return Message{Line: "main", Customer: customer, Kind: "text", At: noon, Wamid: wamid, Text: "order 77, please"}
}

func TestReceivedMessageIsKeptOnce(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	first, dup, err := s.ReceiveMessage(ctx, testMessage("c1", "wamid.1"))
	if err != nil || dup || first.Status != MessageReceived || first.Text != "order 77, please" {
		t.Fatalf("%+v %v %v", first, dup, err)
	}
	again, dup, err := s.ReceiveMessage(ctx, testMessage("c1", "wamid.1"))
	if err != nil || !dup {
		t.Errorf("the same wamid is new: %v", err)
	}
	if d := cmp.Diff(first, again); d != "" {
		t.Error(d)
	}
	facts, err := s.Facts(ctx, FactQuery{Subject: "customer:c1"})
	if err != nil || len(facts) != 1 {
		t.Errorf("%d facts, want 1 (%v)", len(facts), err)
	}
}

func TestOutgoingMessageIsUncertainUntilMetaNamesIt(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	m, dup, err := s.BeginMessage(ctx, testMessage("c1", ""))
	if err != nil || dup {
		t.Fatal(dup, err)
	}
	if _, dup, err := s.BeginMessage(ctx, m); err != nil || !dup {
		t.Errorf("the same message began twice: %v", err)
	}
	page, err := s.UncertainMessages(ctx, Span{})
	must(t, err)
	if len(page.Items) != 1 || page.Items[0].ID != m.ID {
		t.Errorf("uncertain %+v", page.Items)
	}
	report := MessageUpdate{Wamid: "wamid.9", Status: MessageSent, At: noon.Add(2 * time.Second)}
	if _, _, err := s.SetMessageStatus(ctx, report); !errors.Is(err, ErrNotFound) {
		t.Errorf("a report before the name: %v", err)
	}
	got, changed, err := s.SetMessageStatus(ctx, MessageUpdate{ID: m.ID, Wamid: "wamid.9", Status: MessageAccepted, At: noon.Add(time.Second)})
	if err != nil || !changed || got.Wamid != "wamid.9" {
		t.Fatalf("named %+v %v %v", got, changed, err)
	}
	if page, err = s.UncertainMessages(ctx, Span{}); err != nil || len(page.Items) != 0 {
		t.Errorf("still uncertain: %+v %v", page.Items, err)
	}
	if got, changed, err = s.SetMessageStatus(ctx, report); err != nil || !changed || got.Status != MessageSent || got.Text == "" {
		t.Errorf("sent %+v %v %v", got, changed, err)
	}
	if _, changed, err = s.SetMessageStatus(ctx, report); err != nil || changed {
		t.Errorf("the same report again changed something (%v)", err)
	}
}

func TestATextIsStoredOnceHoweverOftenItsStatusMoves(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	m, _, err := s.BeginMessage(ctx, testMessage("c1", ""))
	must(t, err)
	for i, st := range []MessageStatus{MessageAccepted, MessageSent, MessageDelivered, MessageRead} {
		_, _, err := s.SetMessageStatus(ctx, MessageUpdate{ID: m.ID, Status: st, At: noon.Add(time.Duration(i) * time.Second)})
		must(t, err)
	}
	facts, err := s.Facts(ctx, FactQuery{Subject: "message:" + m.ID})
	must(t, err)
	for i, f := range facts {
		if (f.Personal != nil) != (i == 0) {
			t.Errorf("fact %d %s has personal part %q", i, f.Kind, f.Personal)
		}
	}
	page, err := s.Conversation(ctx, ConversationQuery{Customer: "c1"})
	must(t, err)
	if len(facts) != 5 || len(page.Items) != 1 || page.Items[0].Text != m.Text || page.Items[0].Status != MessageRead {
		t.Errorf("%d facts, conversation %+v", len(facts), page.Items)
	}
}

// Reports come twice, late and out of order: whatever their order, a message ends at the furthest of them.
func TestMessageStatusOnlyMovesOn(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		m := testMessage("c1", "")
		m.ID = fmt.Sprintf("n%06d", n)
		if _, _, err := s.BeginMessage(ctx, m); err != nil {
			r.Fatal(err)
		}
		best := MessageSending
		for _, st := range rapid.SliceOfN(rapid.SampledFrom([]MessageStatus{MessageAccepted, MessageSent, MessageFailed,
			MessageDelivered, MessageRead}), 0, 6).Draw(r, "reports") {
			got, changed, err := s.SetMessageStatus(ctx, MessageUpdate{ID: m.ID, Status: st, At: noon.Add(time.Second)})
			if err != nil {
				r.Fatal(err)
			}
			if changed != (messageRank[st] > messageRank[best]) {
				r.Fatalf("%s after %s: changed %v", st, best, changed)
			}
			if changed {
				best = st
			}
			if got.Status != best {
				r.Fatalf("%s after %s, want %s", got.Status, st, best)
			}
		}
	})
}

func TestConversationGoesOnUnderTheMergedCustomer(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	phone, err := s.Resolve(ctx, Identity{Phone: "4915100000001"})
	must(t, err)
	user, err := s.Resolve(ctx, Identity{BSUID: "DE.7"})
	must(t, err)
	write := func(i int, who, line string) {
		m := testMessage(who, fmt.Sprintf("wamid.%d", i))
		m.Line, m.At, m.Text = line, noon.Add(time.Duration(i)*time.Minute), fmt.Sprint(i)
		_, _, err := s.ReceiveMessage(ctx, m)
		must(t, err)
	}
	write(1, phone.ID, "main")
	write(2, user.ID, "main")
	write(3, phone.ID, "other")
	write(4, user.ID, "main")
	_, err = s.Resolve(ctx, Identity{BSUID: "DE.7", Phone: "4915100000001"})
	must(t, err)
	write(5, phone.ID, "main") // somebody still holds the old ID
	read := func(who, line string) (texts []string) {
		for q := (ConversationQuery{Customer: who, Line: line, Span: Span{Limit: 2}}); ; {
			page, err := s.Conversation(ctx, q)
			must(t, err)
			for _, m := range page.Items {
				if m.Customer != user.ID {
					t.Errorf("message %s is of %s", m.Text, m.Customer)
				}
				texts = append(texts, m.Text)
			}
			if q.Cursor = page.Next; page.Next == "" {
				return texts
			}
		}
	}
	for _, who := range []string{phone.ID, user.ID} {
		if d := cmp.Diff([]string{"5", "4", "3", "2", "1"}, read(who, "")); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"5", "4", "2", "1"}, read(who, "main")); d != "" {
			t.Error(d)
		}
	}
}

func TestImpossibleMessagesAreRefused(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	in, _, err := s.ReceiveMessage(ctx, testMessage("c1", "wamid.1"))
	must(t, err)
	for name, err := range map[string]error{
		"no wamid":         second(s.ReceiveMessage(ctx, testMessage("c1", ""))),
		"no customer":      second(s.ReceiveMessage(ctx, testMessage("", "wamid.2"))),
		"no time":          second(s.BeginMessage(ctx, Message{Line: "main", Customer: "c", Kind: "text"})),
		"status unknown":   second(s.SetMessageStatus(ctx, MessageUpdate{ID: in.ID, Status: "lost", At: noon})),
		"nothing to find":  second(s.SetMessageStatus(ctx, MessageUpdate{Status: MessageRead, At: noon})),
		"received message": second(s.SetMessageStatus(ctx, MessageUpdate{ID: in.ID, Status: MessageRead, At: noon})),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[A, B any](_ A, _ B, err error) error { return err }
