package store

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
)

// go test ./store -run xxx -bench MillionCalls -calls 1000000 -timeout 30m
var benchCalls = flag.Int("calls", 30_000, "ended calls in the store of BenchmarkMillionCalls")

// fillCalls writes n ended calls over two years: 60 agents, 5 lines, a customer for every twenty calls, reasons from the
// usual to one in a hundred thousand.
func fillCalls(b testing.TB, s *Store, n int) {
	b.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	given := []string{"Sari", "Budi", "Ayu", "Dewi", "Agus", "Putri", "Rizky", "Wayan", "Siti", "Eko"}
	family := []string{"Wijaya", "Santoso", "Lestari", "Pratama", "Hidayat", "Saputra", "Nugroho", "Utami", "Siregar", "Halim"}
	begin := noon.AddDate(-2, 0, 0)
	const batch = 250
	for i := 0; i < n; i += batch {
		_, err := s.submit(context.Background(), classNormal, func(t *tx) error {
			for j := i; j < min(i+batch, n); j++ {
				cust := fmt.Sprintf("cust%08d", j/20)
				if j%20 == 0 {
					c := customer{customerOpen{ID: cust}, customerPersonal{Phone: fmt.Sprintf("62812%08d", r.IntN(100_000_000)),
						Name: given[r.IntN(10)] + " " + family[r.IntN(10)] + fmt.Sprint(j/20%1000)}}
					if err := t.keep(c); err != nil {
						return err
					}
				}
				at := begin.Add(time.Duration(j) * (2 * 365 * 24 * time.Hour / time.Duration(n)))
				c := bridge.CDR{ID: fmt.Sprintf("%024d", j), Direction: bridge.Inbound, Line: fmt.Sprintf("line%d", r.IntN(5)), OfferedAt: at,
					Customer: bridge.Customer{ID: fmt.Sprintf("cust%08d", r.IntN(j/20+1)), Name: "N", Phone: "628"}, State: "ended",
					Agent: fmt.Sprintf("phone:%d", 1000+r.IntN(60)), AnsweredAt: at.Add(5 * time.Second), Cause: bridge.Cause{Reason: bridge.ReasonHangup},
					Legs: []bridge.LegRecord{{Kind: bridge.KindSIP, Peer: "1001"}}}
				if r.IntN(3) == 0 {
					c.Direction = bridge.Outbound
				}
				c.EndedAt = at.Add(time.Duration(10+r.IntN(600)) * time.Second)
				switch x := r.IntN(100_000); {
				case x == 0:
					c.Cause.Reason = bridge.ReasonInterrupted
				case x < 25_000:
					c.AnsweredAt, c.Cause.Reason = time.Time{}, bridge.ReasonNoAnswer
					if c.Direction == bridge.Inbound {
						c.Agent = ""
					}
				}
				f, err := callFact(bridge.Fact{Kind: bridge.FactEnded, At: noon, CDR: c})
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
}

var benchSearches = []struct {
	name string
	q    CallSearch
}{
	{"newest", CallSearch{}},
	{"longest", CallSearch{Sort: SortLongest}},
	{"shortest of one agent", CallSearch{Sort: SortShortest, Targets: []string{"phone:1007"}}},
	{"missed of a line, oldest", CallSearch{Sort: SortOldest, Group: GroupMissed, Line: "line3"}},
	{"longest of one day", CallSearch{Sort: SortLongest, From: noon.AddDate(0, -3, 0), To: noon.AddDate(0, -3, 1)}},
	{"longest of a year", CallSearch{Sort: SortLongest, From: noon.AddDate(-1, 0, 0)}},
	{"rarest reason, longest", CallSearch{Sort: SortLongest, Reason: bridge.ReasonInterrupted}},
	{"rare reason of an agent on a line", CallSearch{Reason: bridge.ReasonInterrupted, Targets: []string{"phone:1001"}, Line: "line1"}},
	{"at least 599 s, oldest", CallSearch{Sort: SortOldest, MinTalk: 599 * time.Second}},
	{"nobody: an agent's missed inbound calls", CallSearch{Targets: []string{"phone:1001"}, Reason: bridge.ReasonNoAnswer, MinTalk: time.Second}},
	{"a team of 30 with what rang, longest", CallSearch{Sort: SortLongest, Targets: benchTeam(30), Rang: true}},
	{"a team of 60, missed, newest", CallSearch{Group: GroupMissed, Targets: benchTeam(60), Rang: true}},
	{"last four digits", CallSearch{Text: "4711"}},
	{"last three digits, longest, missed", CallSearch{Text: "711", Sort: SortLongest, Group: GroupMissed}},
	{"name prefix", CallSearch{Text: "wij"}},
	{"name prefix of a team, longest", CallSearch{Text: "sa", Sort: SortLongest, Targets: benchTeam(10)}},
	{"two names", CallSearch{Text: "sari halim12"}},
	{"disjoint: no answer and talked", CallSearch{Reason: bridge.ReasonNoAnswer, MinTalk: 5 * time.Second, MaxTalk: time.Hour}},
}

func benchTeam(n int) (targets []string) {
	for i := range n {
		targets = append(targets, fmt.Sprintf("phone:%d", 1000+i))
	}
	return targets
}

func BenchmarkMillionCalls(b *testing.B) {
	dir := b.TempDir()
	s := open(b, testConfig(dir))
	began := time.Now()
	fillCalls(b, s, *benchCalls)
	b.Logf("%d calls written in %v", *benchCalls, time.Since(began).Round(time.Second))
	lsm, vlog := s.db.Load().Size()
	b.Logf("database %d MB", (lsm+vlog)>>20)
	for _, c := range benchSearches {
		b.Run("search/"+c.name, func(b *testing.B) {
			measure(b, func() error { _, err := s.SearchCalls(context.Background(), c.q); return err })
		})
		b.Run("count/"+c.name, func(b *testing.B) {
			measure(b, func() error { _, err := s.CountCalls(context.Background(), c.q); return err })
		})
	}
	// A store as it is in the morning: what filling it took, memory above all, is another matter.
	must(b, s.Close())
	s = open(b, testConfig(dir))
	b.Run("export of all pages", func(b *testing.B) {
		b.ReportAllocs()
		debug.FreeOSMemory() // what filling the store took
		peak := 0.0
		for b.Loop() {
			n, q := 0, CallSearch{Limit: 500}
			for {
				p, err := s.SearchCalls(context.Background(), q)
				must(b, err)
				n += len(p.Calls)
				if n%10_000 == 0 {
					peak = max(peak, resident(b, "RssAnon"))
				}
				if q.After = p.Next; p.Next == "" {
					break
				}
			}
			if n != *benchCalls {
				b.Fatal(n)
			}
		}
		b.ReportMetric(peak, "MB-anon-peak")
		b.ReportMetric(resident(b, "RssFile"), "MB-file")
	})
}

// resident reads a line of /proc/self/status (proc(5)), in MB. RssAnon is memory of our own; RssFile are pages of Badger's tables,
// which the kernel takes back when it needs them.
func resident(b *testing.B, line string) float64 {
	text, err := os.ReadFile("/proc/self/status")
	must(b, err)
	_, rest, _ := strings.Cut(string(text), line+":")
	var kb float64
	_, err = fmt.Sscanf(rest, "%f kB", &kb)
	must(b, err)
	return kb / 1024
}

func measure(b *testing.B, do func() error) {
	var times []time.Duration
	for b.Loop() {
		t := time.Now()
		must(b, do())
		times = append(times, time.Since(t))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
}
