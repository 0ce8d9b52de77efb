package sip

import (
	"net/netip"
	"testing"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func engineTest(t testing.TB, cfg MediaConfig) *mediaEngine {
	t.Helper()
	if !cfg.IP.IsValid() {
		cfg.IP = loopback
	}
	e, err := newMediaEngine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// openTest opens a session on an engine of its own, talking to peers on this host.
func openTest(t testing.TB, cfg mediaSessionConfig, h mediaHandlers) *mediaSession {
	t.Helper()
	return openOn(t, engineTest(t, MediaConfig{}), cfg, h)
}

func openOn(t testing.TB, e *mediaEngine, cfg mediaSessionConfig, h mediaHandlers) *mediaSession {
	t.Helper()
	if !cfg.SignallingPeer.IsValid() {
		cfg.SignallingPeer = loopback
	}
	s, err := e.open(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
