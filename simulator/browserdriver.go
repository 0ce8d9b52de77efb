package simulator

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Chromium is a real browser without a screen, for tests of the page: the customer's end then is the WebRTC stack that
// browsers have, with a WAV file as microphone. It is driven through its debugging pipe, so no further program is needed.
// Its owner closes it.
type Chromium struct {
	cmd  *exec.Cmd
	in   *os.File
	read chan struct{} // closed when the reader is gone

	mu      sync.Mutex
	next    int
	pending map[int]chan json.RawMessage
}

// chromiumAnswer bounds one command of the debugging pipe.
const chromiumAnswer = 20 * time.Second

// ErrNoChromium means that the browser is not installed.
var ErrNoChromium = errors.New("chromium is not installed (make setup-e2e)")

// StartChromium starts a browser that keeps its files in dir and hears the WAV file microphone, over and over.
func StartChromium(dir, microphone string) (*Chromium, error) {
	bin, err := exec.LookPath("chromium")
	if err != nil {
		return nil, ErrNoChromium
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start chromium: %w", err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start chromium: %w", err), inR.Close(), inW.Close())
	}
	cmd := exec.Command(bin, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
		"--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--use-file-for-fake-audio-capture="+microphone,
		"--autoplay-policy=no-user-gesture-required", "--allow-loopback-in-peer-connection",
		"--user-data-dir="+filepath.Join(dir, "profile"), "about:blank")
	cmd.ExtraFiles = []*os.File{inR, outW}                // its file descriptors 3 and 4
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its helpers are ended with it
	err = cmd.Start()
	_, _ = inR.Close(), outW.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start chromium: %w", err), inW.Close(), outR.Close())
	}
	c := &Chromium{cmd: cmd, in: inW, read: make(chan struct{}), pending: map[int]chan json.RawMessage{}}
	go c.listen(outR)
	return c, nil
}

// Close ends the browser and its helper processes, which would otherwise go on writing to its folder for a moment.
func (c *Chromium) Close() error {
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	_ = c.cmd.Wait() // it was killed: the error is that
	err := c.in.Close()
	<-c.read
	return err
}

// listen hands answers to those who wait for them until the browser is gone. Messages end with NUL.
func (c *Chromium) listen(f *os.File) {
	defer close(c.read)
	defer func() { _ = f.Close() }()
	r := bufio.NewReader(f)
	for {
		raw, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		if json.Unmarshal(raw[:len(raw)-1], &m) != nil || m.ID == 0 {
			continue
		}
		c.mu.Lock()
		ch := c.pending[m.ID]
		delete(c.pending, m.ID)
		c.mu.Unlock()
		if ch == nil {
			continue
		}
		if m.Error != nil {
			m.Result = m.Error
		}
		ch <- m.Result
	}
}

func (c *Chromium) send(ctx context.Context, session, method string, params map[string]any) (json.RawMessage, error) {
	ch := make(chan json.RawMessage, 1)
	c.mu.Lock()
	c.next++
	id := c.next
	c.pending[id] = ch
	c.mu.Unlock()
	m := map[string]any{"id": id, "method": method, "params": params}
	if session != "" {
		m["sessionId"] = session
	}
	raw, err := json.Marshal(m)
	if err == nil {
		_, err = c.in.Write(append(raw, 0))
	}
	if err != nil {
		return nil, fmt.Errorf("chromium %s: %w", method, err)
	}
	ctx, cancel := context.WithTimeout(ctx, chromiumAnswer)
	defer cancel()
	select {
	case r := <-ch:
		return r, nil
	case <-c.read:
		return nil, fmt.Errorf("chromium %s: the browser is gone", method)
	case <-ctx.Done():
		return nil, fmt.Errorf("chromium %s: no answer: %w", method, ctx.Err())
	}
}

// Tab is one page of the browser.
type Tab struct {
	c       *Chromium
	session string
}

// Open loads a page in a new tab.
func (c *Chromium) Open(ctx context.Context, url string) (*Tab, error) {
	var target struct {
		ID string `json:"targetId"`
	}
	raw, err := c.send(ctx, "", "Target.createTarget", map[string]any{"url": url})
	if err == nil {
		err = json.Unmarshal(raw, &target)
	}
	if err != nil {
		return nil, err
	}
	var attached struct {
		ID string `json:"sessionId"`
	}
	raw, err = c.send(ctx, "", "Target.attachToTarget", map[string]any{"targetId": target.ID, "flatten": true})
	if err == nil {
		err = json.Unmarshal(raw, &attached)
	}
	if err != nil {
		return nil, err
	}
	tb := &Tab{c, attached.ID}
	return tb, tb.Until(ctx, "document.readyState === 'complete' && location.href !== 'about:blank'")
}

// Eval runs JavaScript as if the person had touched the page, waits for a promise, and returns its value.
func (tb *Tab) Eval(ctx context.Context, js string) (any, error) {
	raw, err := tb.c.send(ctx, tb.session, "Runtime.evaluate", map[string]any{"expression": js, "awaitPromise": true, "returnByValue": true, "userGesture": true})
	if err != nil {
		return nil, err
	}
	var r struct {
		Result struct {
			Value any `json:"value"`
		} `json:"result"`
		Exception any `json:"exceptionDetails"`
		Message   string
	}
	if err := json.Unmarshal(raw, &r); err != nil || r.Exception != nil || r.Message != "" {
		return nil, fmt.Errorf("%s: %s", js, raw)
	}
	return r.Result.Value, nil
}

// Until waits until an expression is true in the page or ctx ends.
func (tb *Tab) Until(ctx context.Context, js string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		v, err := tb.Eval(ctx, js)
		if err != nil || v == true {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("never true in the page: %s: %w", js, ctx.Err())
		}
	}
}
