package appliance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ErrNotRunning is returned when no daemon answers at the control socket.
var ErrNotRunning = errors.New("deskbridge is not running with this data folder: start it with `systemctl start deskbridge` or `deskbridge serve`")

// maxControlAnswer bounds what the client reads: the status of the largest appliance is far smaller.
const maxControlAnswer = 8 << 20

// ControlClient talks to the daemon that runs in a data folder.
type ControlClient struct {
	path string
	http *http.Client
}

// NewControlClient returns a client for the daemon of dataDir. It connects with the first request.
func NewControlClient(dataDir string) *ControlClient {
	path := filepath.Join(dataDir, SocketName)
	return &ControlClient{path: path, http: &http.Client{
		Timeout: controlApplyTimeout + 10*time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", path)
			},
		},
	}}
}

// Export writes the settings in force as a document, secrets left out.
func (c *ControlClient) Export(ctx context.Context, w io.Writer) error {
	body, err := c.do(ctx, http.MethodGet, "/settings", nil)
	if err != nil {
		return err
	}
	_, err = w.Write(body)
	return err
}

// Apply puts the document in force and returns what it changed; nothing if it says what is so already.
func (c *ControlClient) Apply(ctx context.Context, name string, document io.Reader) ([]Change, error) {
	return c.changes(ctx, http.MethodPut, "/settings", name, document)
}

// Diff returns what Apply would change.
func (c *ControlClient) Diff(ctx context.Context, name string, document io.Reader) ([]Change, error) {
	return c.changes(ctx, http.MethodPost, "/settings/diff", name, document)
}

// Status asks how the appliance is.
func (c *ControlClient) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.get(ctx, "/status", &s)
	return s, err
}

// Calls lists the running calls.
func (c *ControlClient) Calls(ctx context.Context) ([]CallStatus, error) {
	var list []CallStatus
	err := c.get(ctx, "/calls", &list)
	return list, err
}

func (c *ControlClient) get(ctx context.Context, path string, into any) error {
	body, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

func (c *ControlClient) changes(ctx context.Context, method, path, name string, document io.Reader) ([]Change, error) {
	text, err := io.ReadAll(io.LimitReader(document, maxDocument+1))
	if err != nil {
		return nil, err
	}
	body, err := c.do(ctx, method, path+"?name="+url.QueryEscape(name), text)
	if err != nil {
		return nil, err
	}
	var a changesAnswer
	err = json.Unmarshal(body, &a)
	return a.Changes, err
}

func (c *ControlClient) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://deskbridge"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxControlAnswer))
	if err != nil || res.StatusCode == http.StatusOK {
		return text, err
	}
	return nil, answeredError(res, text)
}

// unreachable says what to do about a socket that cannot be used.
func (c *ControlClient) unreachable(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: %w", c.path, ErrNotRunning)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: only root and the service user may use it: try sudo", c.path)
	}
	return err
}

func answeredError(res *http.Response, text []byte) error {
	var e controlError
	if err := json.Unmarshal(text, &e); err != nil || e.Message == "" {
		return fmt.Errorf("control socket answered %s", res.Status)
	}
	return e.err()
}
