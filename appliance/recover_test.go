package appliance

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deskbridge/bridge"
	"deskbridge/sip"
	"deskbridge/store"
	"deskbridge/whatsapp"
)

// hangingLine is a line while Meta does not answer.
type hangingLine struct{ fakeLine }

func (l *hangingLine) Terminate(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// nobody takes calls that come in.
type nobody struct{}

func (nobody) Offer(bridge.Offer) string { return "" }

// recovering is an App with just what recovery needs: one line, a SIP endpoint and a store.
func recovering(t *testing.T, line callLine) *App {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	reg := prometheus.NewRegistry()
	st, err := store.Open(store.Config{Dir: t.TempDir(), Key: make([]byte, 32), Logger: log, Registerer: reg, OnLevel: func(store.Level) {}})
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := sip.New(sip.Config{UDP: []string{"127.0.0.1:0"}, Switchboard: nobody{}})
	if err != nil {
		t.Fatal(err)
	}
	hub, err := whatsapp.NewHub(t.Context(), whatsapp.HubConfig{Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	a := &App{log: log, store: st, sip: endpoint, hub: hub, plan: testPlan(map[string]callLine{"help": line})}
	a.onStop("store", func(context.Context) error { return st.Close() })
	a.onStop("whatsapp", hub.Stop)
	a.onStop("sip", endpoint.Stop)
	t.Cleanup(func() {
		a.endLife()
		a.background.Wait()
		if err := a.undo(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := endpoint.Start(); err != nil {
		t.Fatal(err)
	}
	a.started = time.Now()
	a.life, a.endLife = context.WithCancel(context.Background())
	return a
}

func TestThePhoneOfAnInterruptedCallIsToldWhileMetaHangs(t *testing.T) {
	a := recovering(t, &hangingLine{})
	pbx, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pbx.Close()
	// More calls than are ended at Meta at once.
	for i := range 2 * recoverAtOnce {
		dialog := fmt.Sprintf(`[{"peer":"pbx","call_id":"dialog-%d","local_tag":"a","remote_tag":"b","local":"sip:us@127.0.0.1","remote":"sip:200@127.0.0.1","target":"sip:200@%s","seq":7,"transport":"UDP","addr":"%[2]s"}]`, i, pbx.LocalAddr())
		cdr := bridge.CDR{ID: fmt.Sprintf("00call%d", i), Direction: bridge.Inbound, Line: "help", Wacid: fmt.Sprintf("wacid.%d", i), OfferedAt: time.Now(),
			Legs: []bridge.LegRecord{{Kind: bridge.KindSIP, Peer: "pbx", Dialog: []byte(dialog)}}}
		if err := a.store.Record(t.Context(), bridge.Fact{Kind: bridge.FactAnswered, At: time.Now(), CDR: cdr}); err != nil {
			t.Fatal(err)
		}
	}
	a.recoverCalls(t.Context())
	told := map[string]bool{}
	buf := make([]byte, 4096)
	if err := pbx.SetReadDeadline(time.Now().Add(recoverLimit / 2)); err != nil {
		t.Fatal(err)
	}
	for len(told) < 2*recoverAtOnce {
		n, _, err := pbx.ReadFrom(buf)
		if err != nil {
			t.Fatalf("%d of %d calls were ended at the PBX: %v", len(told), 2*recoverAtOnce, err)
		}
		for line := range strings.Lines(string(buf[:n])) {
			if id, ok := strings.CutPrefix(line, "Call-ID: "); ok && strings.HasPrefix(string(buf[:n]), "BYE ") {
				told[id] = true
			}
		}
	}
}
