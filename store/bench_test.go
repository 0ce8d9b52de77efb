package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/policy"
)

func BenchmarkRecord(b *testing.B) {
	s := open(b, testConfig(b.TempDir()))
	cdr := testCDR("c", bridge.Customer{ID: "cust"})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		cdr.ID = fmt.Sprintf("c%09d", i)
		must(b, s.Record(context.Background(), bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: cdr}))
	}
}

func BenchmarkPutParallel(b *testing.B) {
	s := open(b, testConfig(b.TempDir()))
	raw := make([]byte, 2000)
	var n int64
	keys := make(chan int64, 1)
	keys <- 0
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n = <-keys + 1
			mine := n
			keys <- mine
			if _, err := s.Put(context.Background(), fmt.Sprint(mine), raw); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkCallsPageOf100k(b *testing.B) {
	s := open(b, testConfig(b.TempDir()))
	for i := 0; i < 100_000; i += 200 {
		_, err := s.submit(context.Background(), classNormal, func(t *tx) error {
			for j := i; j < i+200; j++ {
				cdr := testCDR(fmt.Sprintf("c%06d", j), bridge.Customer{ID: fmt.Sprint("cust", j%500)})
				cdr.OfferedAt, cdr.EndedAt = noon.Add(time.Duration(j)*time.Second), noon
				f, err := callFact(bridge.Fact{Kind: bridge.FactEnded, At: noon, CDR: cdr})
				if err != nil {
					return err
				}
				if _, err := t.append(f); err != nil {
					return err
				}
			}
			return nil
		})
		must(b, err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		p, err := s.Calls(context.Background(), CallQuery{Limit: 50})
		if err != nil || len(p.Calls) != 50 || p.Calls[0].ID != "c099999" {
			b.Fatal(err, len(p.Calls))
		}
	}
}

// tenThousand is a customer with a long history: the state stays as small as its windows.
func tenThousand(b *testing.B) *Store {
	b.Helper()
	s := open(b, testConfig(b.TempDir()))
	for i := 0; i < 10_000; i += 10 {
		_, err := s.submit(context.Background(), classNormal, func(t *tx) error {
			for j := i; j < i+10; j++ {
				e := attempt(fmt.Sprintf("call%06d", j), noon.Add(time.Duration(j)*time.Minute))
				if j%2 == 1 {
					e = policy.Event{Kind: policy.EventEnded, At: e.At, ID: fmt.Sprintf("call%06d", j-1), Outcome: policy.OutcomeConnected}
				}
				if _, err := t.recordEvent("main", "c1", e, nil); err != nil {
					return err
				}
			}
			return nil
		})
		must(b, err)
	}
	return s
}

func BenchmarkPolicyStateOf10kEvents(b *testing.B) {
	s := tenThousand(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := s.PolicyState(context.Background(), "main", "c1"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPolicyStateOfAnOrdinaryCustomer(b *testing.B) {
	s := open(b, testConfig(b.TempDir()))
	for i := range 5 {
		_, err := s.RecordEvent(context.Background(), "main", "c1", attempt(fmt.Sprint("call", i), noon), nil)
		must(b, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := s.PolicyState(context.Background(), "main", "c1"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReserve(b *testing.B) {
	s := open(b, testConfig(b.TempDir()))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		reserve(b, s, fmt.Sprint("c", i/5), i)
	}
}

func BenchmarkReserveOf10kEvents(b *testing.B) {
	s := tenThousand(b)
	b.ReportAllocs()
	for i := 20_000; b.Loop(); i++ {
		reserve(b, s, "c1", i)
	}
}

// BenchmarkReserveParallel is many agents at once: they share commits.
func BenchmarkReserveParallel(b *testing.B) {
	s := open(b, testConfig(b.TempDir()))
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(n.Add(1))
			reserve(b, s, fmt.Sprint("c", i/5), i)
		}
	})
}

func reserve(b *testing.B, s *Store, who string, i int) {
	got, err := s.Reserve(context.Background(), "main", who, func(_, _ policy.State) (policy.Event, bool) {
		return attempt(fmt.Sprintf("call%09d", i), noon.Add(time.Duration(i)*time.Minute)), true
	})
	if err != nil || !got.Reserved {
		b.Error(got, err)
	}
}
