package appliance

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

func TestTheWebhookListenerBoundsConnectionsPerAddress(t *testing.T) {
	l, err := newListener("127.0.0.1:0", TLSConfig{}, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.start()
	t.Cleanup(func() { _ = l.stop(context.Background()) })
	dial := func(from string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.DialContext(t.Context(), "tcp", l.addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	// closed reports whether the server hung up on a connection that says nothing.
	closed := func(c net.Conn) bool {
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		_, err := c.Read(make([]byte, 1))
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	var first net.Conn
	for range maxConnsPerIP {
		first = dial("127.0.0.1")
	}
	if !closed(dial("127.0.0.1")) {
		t.Error("one more than allowed from one address stayed")
	}
	if closed(dial("127.0.0.2")) {
		t.Error("another address was shut out")
	}
	_ = first.Close()
	deadline := time.Now().Add(5 * time.Second)
	for again := dial("127.0.0.1"); ; again = dial("127.0.0.1") { // the server notices the close a moment later
		_, _ = io.WriteString(again, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		_ = again.SetReadDeadline(deadline)
		if n, _ := again.Read(make([]byte, 16)); n > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a closed connection was not given back")
		}
	}
}
