package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"deskbridge/bridge"

	"github.com/google/go-cmp/cmp"
)

func TestCallSurvivesReopenWithEveryField(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testConfig(dir))
	ctx := testCtx(t)
	cust, err := s.Resolve(ctx, Identity{Phone: "4915112345678", BSUID: "DE.1", Name: "Erika"})
	must(t, err)
	want := testCDR("call1", cust)
	must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: want}))
	must(t, s.Close())

	s = open(t, testConfig(dir))
	got, err := s.Call(ctx, "call1")
	must(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	open, err := s.OpenCalls(ctx)
	must(t, err)
	if len(open) != 1 || string(open[0].Legs[0].Dialog) != "sip:+4915112345678@pbx" {
		t.Errorf("open calls %+v", open)
	}
}

func TestADamagedRecordDoesNotHideTheOtherOpenCalls(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	for _, id := range []string{"call1", "call2", "call3"} {
		must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: testCDR(id, bridge.Customer{})}))
	}
	_, err := s.submit(ctx, classNormal, func(x *tx) error { return x.set(key(tabCall, "call2"), []byte("rubbish")) })
	must(t, err)
	open, err := s.OpenCalls(ctx)
	must(t, err)
	if len(open) != 2 || open[0].ID != "call1" || open[1].ID != "call3" {
		t.Errorf("open calls %+v", open)
	}
}

func TestEndedCallIsFinalAndLeavesTheOpenSet(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	c := testCDR("call1", bridge.Customer{})
	must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: c}))
	c.EndedAt, c.State = noon.Add(time.Minute), "ended"
	must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactEnded, At: noon, CDR: c}))
	late := c
	late.EndedAt, late.Agent = noon.Add(time.Hour), "999"
	must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactEnded, At: noon, CDR: late}))
	got, err := s.Call(ctx, "call1")
	must(t, err)
	if got.Agent != "201" || !got.EndedAt.Equal(c.EndedAt) {
		t.Errorf("a late fact changed the final record: %+v", got)
	}
	if open, err := s.OpenCalls(ctx); err != nil || len(open) != 0 {
		t.Errorf("open calls %v %v", open, err)
	}
	facts, err := s.Facts(ctx, FactQuery{Subject: "call:call1"})
	must(t, err)
	if len(facts) != 3 || facts[2].Seq != 3 || facts[2].Kind != "call.ended" {
		t.Errorf("facts %+v", facts)
	}
	if _, err := s.Call(ctx, "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown call: %v", err)
	}
}

func TestCallsPageNewestFirstThroughTheCursor(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	for i := range 25 {
		c := testCDR(fmt.Sprintf("c%02d", i), bridge.Customer{})
		c.OfferedAt = noon.Add(time.Duration(i) * time.Second)
		if i%2 == 1 {
			c.Direction = bridge.Outbound
			c.EndedAt = noon.Add(time.Hour)
		}
		must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: c}))
	}
	var ids []string
	for q := (CallQuery{Limit: 10}); ; {
		p, err := s.Calls(ctx, q)
		must(t, err)
		for _, c := range p.Calls {
			ids = append(ids, c.ID)
		}
		if q.Before = p.Next; p.Next == "" {
			break
		}
	}
	if len(ids) != 25 || ids[0] != "c24" || ids[24] != "c00" {
		t.Errorf("order %v", ids)
	}
	p, err := s.Calls(ctx, CallQuery{Open: true, Direction: bridge.Inbound, Limit: 3})
	must(t, err)
	if len(p.Calls) != 3 || p.Calls[0].ID != "c24" || p.Calls[1].ID != "c22" {
		t.Errorf("filtered %+v", p.Calls)
	}
	if _, err := s.Calls(ctx, CallQuery{Before: "zz"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("bad cursor: %v", err)
	}
}

func TestFactsDemandTheExpectedVersion(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	f := Fact{Kind: "attempt", At: noon, Subjects: []string{"line:a/customer:b"}, Data: []byte(`{"n":1}`), Personal: []byte("text"),
		Expect: &Expect{Subject: "line:a/customer:b"}}
	seq, err := s.Append(ctx, f)
	must(t, err)
	if _, err := s.Append(ctx, f); !errors.Is(err, ErrVersion) {
		t.Fatalf("second writer used the same attempt: %v", err)
	}
	f.Expect.Version = seq
	if _, err = s.Append(ctx, f); err != nil {
		t.Fatal(err)
	}
	facts, err := s.Facts(ctx, FactQuery{Subject: "line:a/customer:b"})
	must(t, err)
	if len(facts) != 2 || string(facts[0].Data) != `{"n":1}` || string(facts[0].Personal) != "text" {
		t.Errorf("facts %+v", facts)
	}
	if _, err := s.Append(ctx, Fact{Kind: "x", Data: make([]byte, maxData+1)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("huge fact: %v", err)
	}
	if _, err := s.Append(ctx, Fact{Kind: "x", Subjects: []string{"a\x00b"}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("zero byte in subject: %v", err)
	}
}

func TestCallsOfACustomerIncludeThoseFromBeforeTheMerge(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	phone, err := s.Resolve(ctx, Identity{Phone: "4915100000001"})
	must(t, err)
	user, err := s.Resolve(ctx, Identity{BSUID: "DE.7"})
	must(t, err)
	for i, c := range []bridge.Customer{phone, user, {ID: "other"}} {
		must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: testCDR(fmt.Sprint("call", i), c)}))
	}
	_, err = s.Resolve(ctx, Identity{BSUID: "DE.7", Phone: "4915100000001"})
	must(t, err)
	for _, id := range []string{phone.ID, user.ID} {
		if page, err := s.Calls(ctx, CallQuery{Customer: id}); err != nil || len(page.Calls) != 2 {
			t.Errorf("%d calls of %s, want 2 (%v)", len(page.Calls), id, err)
		}
	}
}
