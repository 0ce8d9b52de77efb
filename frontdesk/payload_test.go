package frontdesk

import (
	"strings"
	"testing"
)

func FuzzPayloadAgent(f *testing.F) {
	for _, s := range []string{"", "agent=", "agent=phone:1001", "agent=agent=", "order-4711", "agent=" + strings.Repeat("x", 65), "agent=\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		got := PayloadAgent(payload)
		if len(got) > 64 || got != "" && AgentPayload(got) != payload {
			t.Fatalf("%q: %q", payload, got)
		}
	})
}
