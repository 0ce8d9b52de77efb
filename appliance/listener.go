package appliance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// listener is one HTTP server with the timeouts and limits of the house (reliability.md).
type listener struct {
	ln   net.Listener
	srv  *http.Server
	log  *slog.Logger
	on   atomic.Bool
	done chan struct{}
}

// newListener binds; start serves. With a certificate it speaks TLS.
func newListener(addr string, cert TLSConfig, h http.Handler, log *slog.Logger) (*listener, error) {
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	var ln net.Listener = newLimitListener(tcp, maxConnsPerIP, maxConns)
	if cert.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(cert.CertFile, cert.KeyFile)
		if err != nil {
			_ = ln.Close()
			return nil, fmt.Errorf("tls: %w", err)
		}
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	}
	return &listener{
		ln: ln, log: log, done: make(chan struct{}),
		srv: &http.Server{
			Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
			IdleTimeout: 60 * time.Second, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
	}, nil
}

func (l *listener) addr() string { return l.ln.Addr().String() }

func (l *listener) start() {
	if l.on.Swap(true) {
		return
	}
	go func() {
		defer close(l.done)
		if err := l.srv.Serve(l.ln); !errors.Is(err, http.ErrServerClosed) {
			l.log.Error("listener ended; restart the service", "address", l.addr(), "err", err)
		}
	}()
}

// stop lets running requests finish within ctx.
func (l *listener) stop(ctx context.Context) error {
	err := l.srv.Shutdown(ctx)
	_ = l.ln.Close()
	if l.on.Load() {
		<-l.done
	}
	return err
}
