package recorder

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestPeaksShowWhoSpokeWhen(t *testing.T) {
	quiet := func(from, to int) func(int) bool { return func(i int) bool { return i >= from && i < to } }
	customer, agent := ms20(Customer, 440), ms20(Agent, 1000)
	customer.skip, agent.skip = quiet(0, 100), quiet(100, 1000) // the customer begins after 2 s, the agent ends then
	src, err := opened(simulate(t, 4*time.Second, customer, agent))()
	if err != nil {
		t.Fatal(err)
	}
	p, err := MakePeaks(t.Context(), src, 4*time.Second)
	if err != nil || len(p.Customer) != 40 || len(p.Agent) != 40 {
		t.Fatalf("%d and %d parts, %v", len(p.Customer), len(p.Agent), err)
	}
	for i := range p.Customer {
		second := i / 10
		if i%10 < 3 || i%10 > 7 { // concealment and the codecs' delay blur the edges
			continue
		}
		if spoke := p.Customer[i] > 20; spoke != (second >= 2) {
			t.Errorf("customer at %d: %d", i, p.Customer[i])
		}
		if spoke := p.Agent[i] > 20; spoke != (second < 2) {
			t.Errorf("agent at %d: %d", i, p.Agent[i])
		}
	}
}

func TestPeaksOfALongCallStayFew(t *testing.T) {
	p, err := MakePeaks(t.Context(), &script{}, 24*time.Hour)
	if err != nil || len(p.Customer) != maxPeaks {
		t.Errorf("%d parts, %v", len(p.Customer), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := MakePeaks(ctx, &script{}, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestAnExportJumpsInASealedFile: each part read alone is the same as in the whole.
func TestAnExportJumpsInASealedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "call.dbr")
	if err := os.WriteFile(path, build(t, 6000), 0o600); err != nil {
		t.Fatal(err)
	}
	keys := Keys{Keyring: testRing(t)}
	e, err := NewExport(t.Context(), func() (Source, error) { return OpenResumable(path, keys) }, ExportOptions{Format: OggStereo})
	if err != nil {
		t.Fatal(err)
	}
	r := e.NewReader()
	defer r.Close()
	whole, err := io.ReadAll(r)
	if err != nil || int64(len(whole)) != e.Size() {
		t.Fatalf("%d of %d bytes, %v", len(whole), e.Size(), err)
	}
	for off := e.Size() - 1; off > 0; off -= e.Size()/17 + 1 {
		if _, err := r.Seek(off, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		part := make([]byte, min(5000, e.Size()-off))
		if _, err := io.ReadFull(r, part); err != nil {
			t.Fatalf("at %d: %v", off, err)
		}
		if string(part) != string(whole[off:off+int64(len(part))]) {
			t.Fatalf("the part at %d is another than in the whole", off)
		}
	}
}
