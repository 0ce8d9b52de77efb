package frontdesk

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/policy"
)

// story is a random history of one customer, with what reached Meta written down apart from everything the desk knows.
type story struct {
	*rig
	rnd      *rand.Rand
	asked    []time.Time
	declined bool // the newest request
	newest   string
	called   []time.Time
	streak   int
	until    time.Time // of the permission
	n        int
}

// TestNothingReachesMetaBeyondTheProfile plays histories in which agents press keys as they like, several at once, with restarts and
// repeated webhooks, and holds what reached Meta against the strict profile's sentences.
func TestNothingReachesMetaBeyondTheProfile(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := &story{rig: newRig(t), rnd: rand.New(rand.NewPCG(seed, 7))}
			for range 80 {
				s.step()
			}
			if len(s.asked) == 0 || seed == 0 && len(s.called) == 0 {
				t.Fatalf("nothing happened: %d requests, %d calls", len(s.asked), len(s.called))
			}
		})
	}
}

func (s *story) step() {
	s.n++
	s.pass(time.Duration(s.rnd.Int64N(int64(20 * time.Hour))).Truncate(time.Second))
	granted := s.now().Before(s.until)
	s.number.set(func(n *fakeNumber) {
		n.live = policy.Live{Permission: policy.PermissionNone, CanRequest: true, CanStart: true}
		if granted {
			n.live.Permission, n.live.Expires = policy.PermissionTemporary, s.until
		}
	})
	switch s.rnd.IntN(7) {
	case 0, 1:
		s.askTwice()
	case 2, 3, 4:
		for range 1 + s.rnd.IntN(3) {
			s.callTwice(granted)
			s.pass(time.Minute)
			granted = s.now().Before(s.until)
		}
	case 5:
		s.answer()
	case 6:
		s.restart()
	}
}

// askTwice is two agents who ask at once.
func (s *story) askTwice() {
	before := s.number.n("ask") + s.number.n("template")
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { _, _ = s.desk.Ask(s.ctx(), Request{Line: "main", Customer: s.c}) })
	}
	wg.Wait()
	for range s.number.n("ask") + s.number.n("template") - before {
		day, week := within(s.asked, s.now(), policy.Day), within(s.asked, s.now(), policy.Week)
		if most := map[bool]int{false: 1, true: 2}[s.declined]; day >= 1 || week >= most {
			s.t.Fatalf("step %d: a request too many: %d in a day, %d in a week, declined %v", s.n, day, week, s.declined)
		}
		s.asked, s.declined = append(s.asked, s.now()), false
		all := s.number.messages()
		s.newest = "wamid." + all[len(all)-1].id
	}
}

// callTwice is two agents who dial at once; the calls that are allowed are unanswered or connect.
func (s *story) callTwice(granted bool) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var placed []string
	for i := range 2 {
		wg.Go(func() {
			id := fmt.Sprintf("k%d-%d-%d", s.n, s.now().Unix(), i)
			d, err := s.desk.Authorize(s.ctx(), bridge.Attempt{Call: id, Direction: bridge.Outbound, Line: "main", Customer: s.c})
			if err == nil && d.Allowed {
				mu.Lock()
				placed = append(placed, id)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for range placed {
		if n := within(s.called, s.now(), policy.Day); n >= 5 || !granted || s.streak >= 3 {
			s.t.Fatalf("step %d: a call too many: %d in a day, granted %v, %d unanswered", s.n, n, granted, s.streak)
		}
		s.called = append(s.called, s.now())
	}
	for _, id := range placed {
		e := policy.Event{Kind: policy.EventEnded, ID: id, Outcome: policy.OutcomeUnanswered}
		if s.streak++; s.rnd.IntN(3) == 0 {
			e.Outcome, s.streak = policy.OutcomeConnected, 0
		}
		s.record(e)
	}
}

// answer is the customer's word on the newest request, told twice.
func (s *story) answer() {
	if s.newest == "" || within(s.asked, s.now(), policy.Week) == 0 {
		return
	}
	reply := no
	if s.rnd.IntN(3) > 0 {
		s.until = s.now().Add(policy.Week)
		reply = fmt.Sprintf(`"response":"accept","is_permanent":false,"expiration_timestamp":"%d","response_source":"user_action"`, s.until.Unix())
	} else {
		s.until = time.Time{}
	}
	s.declined = reply == no
	ev := s.reply(fmt.Sprint("wamid.R", s.n), s.newest, reply, s.now())
	s.tell(ev)
	s.tell(ev)
}

func within(list []time.Time, now time.Time, width time.Duration) (n int) {
	for _, t := range list {
		if t.After(now.Add(-width)) {
			n++
		}
	}
	return n
}
