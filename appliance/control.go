package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"deskbridge/admin"
)

// SettingsKeeper holds the settings in force. Apply stores the new ones and swaps them in, or changes nothing.
type SettingsKeeper interface {
	Settings() *Settings
	Apply(ctx context.Context, next *Settings) error
}

// Reporter says what the appliance is doing right now.
type Reporter interface {
	Status() Status
	Calls() []CallStatus
}

// Status is what `deskbridge status` shows.
type Status struct {
	Version  string         `json:"version"`
	Started  time.Time      `json:"started"`
	Ready    string         `json:"ready"` // "ready", or why not
	Draining bool           `json:"draining"`
	Calls    int            `json:"calls"`
	Lines    []MemberStatus `json:"lines,omitempty"`
	Trunks   []MemberStatus `json:"trunks,omitempty"`
	Phones   []MemberStatus `json:"phones,omitempty"`
}

// MemberStatus is one line, trunk or phone: its name and a word or sentence about it, such as "registered".
type MemberStatus struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

// CallStatus is one running call.
type CallStatus struct {
	ID        string    `json:"id"`
	Direction string    `json:"direction"`
	Line      string    `json:"line"`
	State     string    `json:"state"`
	Agent     string    `json:"agent,omitempty"`
	Customer  string    `json:"customer,omitempty"` // masked
	Since     time.Time `json:"since"`
}

// SocketName is the file in the data folder that the command line talks to.
const SocketName = "control.sock"

// Limits of the control socket. Only the service user and root reach it, but a mistake must not hang the daemon either.
const (
	controlReadTimeout  = 15 * time.Second
	controlWriteTimeout = 30 * time.Second
	controlApplyTimeout = 20 * time.Second
)

// Control serves the command line over a Unix socket in the data folder, with HTTP as its protocol. The file's mode
// (0600) is the authentication: whoever may read the data folder may use it.
type Control struct {
	keeper     SettingsKeeper
	reporter   Reporter
	office     Office
	log        *slog.Logger
	path       string
	listener   net.Listener
	server     *http.Server
	served     sync.WaitGroup
	accounts   *admin.Accounts // set before Start; nil in tests of the rest
	recordings *Recordings     // as accounts
	applying   sync.Mutex      // one change at a time: each is a diff against the one before
}

// NewControl binds the socket in dataDir. Only one process uses a data folder (the store sees to that), so a socket that
// exists is a leftover and is replaced.
func NewControl(dataDir string, k SettingsKeeper, r Reporter, o Office, log *slog.Logger) (*Control, error) {
	c := &Control{keeper: k, reporter: r, office: o, log: log, path: filepath.Join(dataDir, SocketName)}
	// Bound under another name first, so that nobody can connect before the mode is set.
	tmp := filepath.Join(dataDir, ".control") // not longer than SocketName: see maxDataDir
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: tmp, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(tmp, 0o600), os.Rename(tmp, c.path)); err != nil {
		_ = l.Close()
		_ = os.Remove(tmp)
		return nil, fmt.Errorf("control socket: %w", err)
	}
	c.listener = l
	c.server = &http.Server{
		Handler:           c.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       controlReadTimeout,
		WriteTimeout:      controlWriteTimeout,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ConnContext:       withPeer,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return c, nil
}

// Start serves until Stop.
func (c *Control) Start() {
	c.served.Go(func() {
		if err := c.server.Serve(c.listener); !errors.Is(err, http.ErrServerClosed) {
			c.log.Error("control socket ended; restart the service to use the command line again", "err", err)
		}
	})
}

// Stop ends the server, waits for running requests as long as ctx lets it, and removes the socket. More than once is harmless.
func (c *Control) Stop(ctx context.Context) error {
	err := c.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, c.server.Close())
	}
	_ = c.listener.Close() // for a server that was never started
	c.served.Wait()
	if rmErr := os.Remove(c.path); rmErr != nil && !errors.Is(rmErr, os.ErrNotExist) {
		err = errors.Join(err, rmErr)
	}
	return err
}
