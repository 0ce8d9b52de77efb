package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
)

// Timeouts and limits of the reliability paper.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
	maxConnections    = 1024
	maxPerAddress     = 64
)

// Health says whether the appliance can take calls right now.
type Health interface {
	// Ready returns nil, or why not in words an operator can act on. It must not block.
	Ready() error
}

// Options are what a Server needs.
type Options struct {
	Listen string // address and port
	// TLS, when set, makes the listener speak HTTPS only.
	TLS *tls.Config
	// TrustedProxies are the networks whose X-Forwarded-For and X-Forwarded-Proto are believed.
	TrustedProxies []netip.Prefix

	Accounts *Accounts
	Audit    AuditLog
	Calls    CallStore
	Live     LiveCalls
	Settings SettingsStore
	System   System

	Sounds    RecordingStore
	Customers CustomerDesk
	Callbacks CallbackDesk
	Agents    AgentDesk
	Lines     LineDesk
	// Recordings serves the signed links below /recordings/; nil: there are none.
	Recordings http.Handler
	Log        *slog.Logger
	Now        func() time.Time // default time.Now
}

// Server is the admin listener.
type Server struct {
	accounts *Accounts
	audit    AuditLog
	calls    CallStore
	live     LiveCalls
	settings SettingsStore
	system   System

	sounds    RecordingStore
	customers CustomerDesk
	callbacks CallbackDesk
	agents    AgentDesk
	lines     LineDesk

	links http.Handler // to recordings; nil: none
	log   *slog.Logger
	now   func() time.Time

	proxies []netip.Prefix
	limits  *limiters
	once    *onceEach
	streams *slots
	exports *slots
	ping    time.Duration

	listener net.Listener
	tls      *tls.Config
	http     *http.Server
	api      huma.API
	served   sync.WaitGroup
	life     context.Context // ends the streams when the server stops
	endLife  context.CancelFunc
}

// New builds the server and binds its address, so that Addr is true before Start.
func New(o Options) (*Server, error) {
	s := newServer(o)
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("admin listener: %w", err)
	}
	router, err := s.router()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s.listener = newLimitListener(l, maxConnections, maxPerAddress, s.trusted)
	s.http = &http.Server{
		Handler:           s.guarded(router),
		TLSConfig:         o.TLS,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug), // strangers cause these lines
	}
	s.http.Protocols = new(http.Protocols)
	s.http.Protocols.SetHTTP1(true)
	return s, nil
}

func newServer(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{accounts: o.Accounts, audit: o.Audit, calls: o.Calls, live: o.Live, settings: o.Settings, system: o.System,
		sounds: o.Sounds, customers: o.Customers, callbacks: o.Callbacks, agents: o.Agents, lines: o.Lines, links: o.Recordings, log: o.Log,
		now: o.Now, proxies: o.TrustedProxies, tls: o.TLS, limits: newLimiters(o.Now), once: newOnceEach(o.Now),
		streams: newSlots(maxStreams, maxStreamsEach), exports: newSlots(maxExports, maxExportsEach), ping: pingEvery}
	s.life, s.endLife = context.WithCancel(context.Background())
	return s
}

func (s *Server) router() (http.Handler, error) {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	// gin believes X-Forwarded-For from everybody unless told otherwise; we look at the client ourselves (guard.go).
	if err := r.SetTrustedProxies(nil); err != nil {
		return nil, fmt.Errorf("admin router: %w", err)
	}
	r.HandleMethodNotAllowed = true
	r.RedirectTrailingSlash = false // a redirect of a request that changes something would be followed as a GET
	ui, err := panel()
	if err != nil {
		return nil, err
	}
	r.NoRoute(ui.serve)
	r.NoMethod(func(c *gin.Context) { refuse(c.Writer, problem(http.StatusMethodNotAllowed, "Not with this method.")) })
	addProbes(r, s.system)
	if s.links != nil {
		r.GET("/recordings/*link", gin.WrapH(s.links))
		r.HEAD("/recordings/*link", gin.WrapH(s.links))
	}
	s.addAPI(r)
	return r, nil
}

// fence ends the request that panicked and nothing else.
func (s *Server) fence(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			bug := recover()
			if bug == nil {
				return
			}
			if err, isErr := bug.(error); isErr && errors.Is(err, http.ErrAbortHandler) {
				panic(bug) // net/http's own way to drop a connection
			}
			s.log.Error("admin request panicked; please report this", "path", r.URL.Path, "panic", bug, "stack", string(debug.Stack()))
			refuse(w, problem(http.StatusInternalServerError, "Internal error, see the log."))
		}()
		next.ServeHTTP(w, r)
	})
}

// Addr is the address the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL is the server's address for a browser on this machine.
func (s *Server) URL() string {
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(s.Addr().String())
	if ip, perr := netip.ParseAddr(host); err == nil && (perr != nil || ip.IsUnspecified()) {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Start serves until Stop. When there is no account yet, the code for the first one goes to the log.
func (s *Server) Start() {
	s.served.Go(func() {
		var err error
		if s.tls != nil {
			err = s.http.ServeTLS(s.listener, "", "")
		} else {
			err = s.http.Serve(s.listener)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("admin listener ended; restart the service to reach it again", "err", err)
		}
	})
	ctx, cancel := context.WithTimeout(s.life, 5*time.Second)
	defer cancel()
	if _, err := s.accounts.SetupNeeded(ctx, s.announce); err != nil {
		s.log.Warn("accounts cannot be read yet", "err", err)
	}
}

func (s *Server) announce(code string) {
	s.log.Warn("there is no account yet: make the first admin with this one-time code, or with: deskbridge user add --admin LOGIN", "url", s.URL(), "code", code)
}

// Stop ends the streams, lets running requests end while ctx lasts, then cuts them. More than once is harmless.
func (s *Server) Stop(ctx context.Context) error {
	s.endLife()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("stop admin listener: %w", err), s.http.Close())
	}
	_ = s.listener.Close() // for a server that was never started
	s.served.Wait()
	return err
}
