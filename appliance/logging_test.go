package appliance

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestEachClassOfLinesIsLimitedAndTheRestCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := NewLogger(&out, LogConfig{Level: "info", Format: "text"})
		for range 100 {
			log.With("call", "c1").Warn("packet from a stranger", "peer", "192.0.2.9")
		}
		log.Info("call ended")
		time.Sleep(2 * time.Second) // the bubble's clock: the report is due after one second
		synctest.Wait()
		for range 3 {
			log.Warn("packet from a stranger")
		}
		text := out.String()
		if n := strings.Count(text, `msg="packet from a stranger"`); n != linesPerSecond+3 {
			t.Errorf("%d lines passed:\n%s", n, text)
		}
		if !strings.Contains(text, `msg="log lines suppressed" class="packet from a stranger" count=90`) {
			t.Errorf("no count:\n%s", text)
		}
		if !strings.Contains(text, "call ended") {
			t.Error("another class suffered")
		}
	})
}

func TestNumberOfClassesIsBounded(t *testing.T) {
	l := newLimiter(slog.DiscardHandler, time.Now)
	for i := range 10 * maxClasses {
		l.state.pass(class{slog.LevelInfo, strings.Repeat("x", i%5000)})
	}
	if n := len(l.state.classes); n > maxClasses+4 {
		t.Errorf("%d classes", n)
	}
}

func TestTimesAreUTCAndLevelHolds(t *testing.T) {
	var out bytes.Buffer
	log := NewLogger(&out, LogConfig{Level: "warn", Format: "json"})
	log.Info("hidden")
	log.Error("shown\nin one line", "n", Number("6281234567890"))
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	if at, _ := line["time"].(string); !strings.HasSuffix(at, "Z") {
		t.Errorf("time %q", at)
	}
	if line["msg"] != "shown\nin one line" || strings.Count(out.String(), "\n") != 1 || line["n"] != "***890" {
		t.Errorf("line %q", out.String())
	}
}

func TestNumbersAreMasked(t *testing.T) {
	for in, want := range map[string]string{"": "", "1001": "***", "12345": "***", "+6281234567890": "***890", "ID.abc": "***abc"} {
		if got := Number(in).Mask(); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
