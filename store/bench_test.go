package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"deskbridge/bridge"
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
