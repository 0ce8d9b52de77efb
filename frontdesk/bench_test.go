package frontdesk

import (
	"context"
	"fmt"
	"testing"
	"time"

	"deskbridge/policy"
	"deskbridge/store"
)

// BenchmarkLookAtWatches is one look at 1,000 open watches of customers who have not answered: what the watch loop does when it is
// woken.
func BenchmarkLookAtWatches(b *testing.B) {
	s, err := store.Open(store.Config{Dir: b.TempDir(), Key: []byte("0123456789abcdef0123456789abcdef"), Limits: store.Limits{Ballast: -1}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	d := New(Config{Store: s, Phones: &fakePhones{}, Now: func() time.Time { return noon }})
	d.SetLines([]LineConfig{{ID: "main", Number: &fakeNumber{now: d.now, count: map[string]int{}}, Enabled: true, Outbound: true, Rules: policy.Strict()}})
	for i := range 1000 {
		w := store.Watch{Line: "main", Customer: fmt.Sprint("c", i), Agent: fmt.Sprint("phone:", i%10), Since: noon, Until: noon.Add(policy.Week)}
		if _, err := s.OpenWatch(b.Context(), w); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		d.ringWatches(context.Background())
	}
}
