package graph

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretShowsItselfNowhere(t *testing.T) {
	s := NewSecret("EAAtoken")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", s, "in", struct{ S Secret }{s})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", s)
	js, _ := json.Marshal(map[string]any{"a": s, "b": &s})
	all := fmt.Sprintf("%v %+v %#v %s %q %x %v", s, s, s, s, s, s, struct{ T *Secret }{&s}) + log.String() + string(js)
	if strings.Contains(all, "EAAtoken") || strings.Contains(all, "454141746f6b656e") {
		t.Fatalf("the secret is in %s", all)
	}
	if s.Reveal() != "EAAtoken" {
		t.Fatal("Reveal does not")
	}
}
