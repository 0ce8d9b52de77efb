package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

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
)

// Health says whether the appliance can take calls right now.
type Health interface {
	// Ready returns nil, or why not in words an operator can act on. It must not block.
	Ready() error
}

// Options are what a Server needs.
type Options struct {
	Listen string // address and port
	Health Health
	// Recordings serves the signed links below /recordings/; nil: there are none.
	Recordings http.Handler
	Log        *slog.Logger
}

// Server is the admin listener.
type Server struct {
	log      *slog.Logger
	listener net.Listener
	http     *http.Server
	served   sync.WaitGroup
}

// New builds the server and binds its address, so that Addr is true before Start.
func New(o Options) (*Server, error) {
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("admin listener: %w", err)
	}
	s := &Server{log: o.Log, listener: newLimitListener(l, maxConnections)}
	router, err := s.router(o.Health, o.Recordings)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s.http = &http.Server{
		Handler:           router,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug), // strangers cause these lines
	}
	return s, nil
}

func (s *Server) router(h Health, recordings http.Handler) (http.Handler, error) {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	// gin believes X-Forwarded-For from everybody unless told otherwise, and address limits would then be void.
	if err := r.SetTrustedProxies(nil); err != nil {
		return nil, fmt.Errorf("admin router: %w", err)
	}
	r.HandleMethodNotAllowed = true
	r.Use(s.fence)
	addProbes(r, h)
	if recordings != nil {
		r.GET("/recordings/*link", gin.WrapH(recordings))
		r.HEAD("/recordings/*link", gin.WrapH(recordings))
	}
	return r, nil
}

// fence ends the request that panicked and nothing else.
func (s *Server) fence(c *gin.Context) {
	defer func() {
		bug := recover()
		if bug == nil {
			return
		}
		if err, isErr := bug.(error); isErr && errors.Is(err, http.ErrAbortHandler) {
			panic(bug) // net/http's own way to drop a connection
		}
		s.log.Error("admin request panicked; please report this", "path", c.FullPath(), "panic", bug, "stack", string(debug.Stack()))
		c.AbortWithStatusJSON(http.StatusInternalServerError, gin.H{"code": "internal", "message": "internal error, see the log"})
	}()
	c.Next()
}

// Addr is the address the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Start serves until Stop.
func (s *Server) Start() {
	s.served.Go(func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("admin listener ended; restart the service to reach it again", "err", err)
		}
	})
}

// Stop lets running requests end while ctx lasts, then cuts them. More than once is harmless.
func (s *Server) Stop(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("stop admin listener: %w", err), s.http.Close())
	}
	_ = s.listener.Close() // for a server that was never started
	s.served.Wait()
	return err
}
