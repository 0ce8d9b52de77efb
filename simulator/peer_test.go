package simulator

import (
	"sync"
	"testing"
	"time"
)

// goleak at the end of the tests finds what such a phone leaves behind.
func TestPhoneThatClosesWhileItAnswersLeavesNothing(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	offer := newBizLeg(t, 1000).offer()
	for i := range 40 {
		customer, err := newPeer(p.meta, newHeard(0, 0, false), Behaviour{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = customer.answer(t.Context(), offer) }) // it may or may not come in time
		time.Sleep(time.Duration(i) * 50 * time.Microsecond)         // sweeps the moments of the race
		if err := customer.close(); err != nil {
			t.Errorf("close: %v", err)
		}
		wg.Wait()
	}
}
