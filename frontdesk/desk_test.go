package frontdesk

import (
	"context"
	"errors"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/policy"
)

const patience = 20 * time.Second

func TestStartedDeskRingsSoonAfterTheCustomerAllows(t *testing.T) {
	r := newRig(t)
	rung := make(chan bridge.Summons, 1)
	r.phones.summonFn = func(s bridge.Summons) { rung <- s }
	r.desk.Start()
	r.ringMe(agent)
	r.allow()
	r.tell(r.reply("wamid.R", "", yes, r.now()))
	select {
	case s := <-rung:
		if s.Agent.Name != agent {
			t.Fatalf("%+v", s)
		}
	case <-time.After(patience):
		t.Fatal("nobody was rung")
	}
}

func TestBugInALoopIsCountedAndTheNextRoundGoesOn(t *testing.T) {
	r := newRig(t)
	rounds := make(chan struct{}, 2)
	wake := make(chan struct{}, 1)
	wake <- struct{}{}
	r.desk.loop("testing", wake, func(context.Context) {
		rounds <- struct{}{}
		panic("bug")
	})
	for range 2 {
		select {
		case <-rounds:
		case <-time.After(patience):
			t.Fatal("the loop has ended")
		}
	}
	r.must(r.desk.Stop(r.ctx()))
	if n := r.value(r.desk.metrics.panics); n < 1 {
		t.Fatalf("%v bugs counted", n)
	}
}

func TestBugInAMessageThatNobodyWaitsForIsCounted(t *testing.T) {
	r := closedRig(t)
	r.number.sendFn = func(sent) (string, error) { panic("bug") }
	if d := r.customerCalls("k1"); d.Rule != policy.RuleHours {
		t.Fatalf("%+v", d)
	}
	r.settle()
	if n := r.value(r.desk.metrics.panics); n != 1 || len(r.desk.slots) != 0 {
		t.Fatalf("%v bugs counted, %d slots taken", n, len(r.desk.slots))
	}
}

func TestStopWaitsAsLongAsItMayAndThenSaysSo(t *testing.T) {
	r := newRig(t)
	begun, end := make(chan struct{}), make(chan struct{})
	r.desk.background("testing", time.Minute, func(ctx context.Context) {
		close(begun)
		<-ctx.Done() // Stop cancels what is under way
		<-end
	})
	<-begun
	ctx, cancel := context.WithCancel(r.ctx())
	cancel()
	if err := r.desk.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("err %v", err)
	}
	close(end)
	r.must(r.desk.Stop(r.ctx()))
	r.desk.Start() // too late: nothing may begin any more
	r.desk.background("testing", time.Minute, func(context.Context) { t.Error("begun after Stop") })
	r.must(r.desk.Stop(r.ctx()))
	if len(r.desk.slots) != 0 {
		t.Fatalf("%d slots taken", len(r.desk.slots))
	}
}

func TestTooMuchUnderWayIsLeftAndCounted(t *testing.T) {
	r := newRig(t)
	end := make(chan struct{})
	for range maxWork + 3 {
		r.desk.background("testing", time.Minute, func(context.Context) { <-end })
	}
	if n := r.value(r.desk.metrics.left.WithLabelValues("testing")); n != 3 {
		t.Fatalf("%v left", n)
	}
	close(end)
	r.settle()
}

func TestLookNeverWaits(t *testing.T) {
	r := newRig(t)
	for range 100 {
		r.desk.Look()
	}
}

func TestHousekeepingSurvivesAStoreThatFails(t *testing.T) {
	r := newRig(t)
	r.must(r.store.Close())
	r.desk.keepHouse(r.ctx())
	r.desk.syncLines(r.ctx())
	r.desk.ringWatches(r.ctx())
	r.desk.Completed(r.ctx(), "main", r.c.ID, "k1", noon)
	if _, _, err := r.desk.NextCallback(r.ctx(), agent, func(string) bool { return true }); err == nil {
		t.Fatal("no error")
	}
	if n := r.number.n("settings"); n != 0 {
		t.Fatal("settings were looked after that could not be kept")
	}
}
