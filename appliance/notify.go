package appliance

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Notifier tells systemd how the service is (sd_notify(3)). Without systemd every method does nothing.
type Notifier struct {
	socket   string
	interval time.Duration // half the watchdog's patience; 0 when there is no watchdog
}

// NewNotifier reads what systemd put into the environment.
func NewNotifier() *Notifier {
	n := &Notifier{socket: os.Getenv("NOTIFY_SOCKET")}
	pid := os.Getenv("WATCHDOG_PID")
	if usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.interval = time.Duration(usec) * time.Microsecond / 2
	}
	return n
}

// Ready says that the service has started.
func (n *Notifier) Ready() error { return n.send("READY=1") }

// Stopping says that the service drains and then ends.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// Status sets the sentence that systemctl status shows.
func (n *Notifier) Status(text string) error {
	return n.send("STATUS=" + strings.ReplaceAll(text, "\n", " "))
}

// Watch feeds the watchdog until ctx ends, as long as alive returns nil; the caller owns the goroutine it runs on. A
// process that hangs, or that says it is not alive, is restarted by systemd.
func (n *Notifier) Watch(ctx context.Context, alive func() error) error {
	if n.socket == "" || n.interval == 0 {
		return nil
	}
	tick := time.NewTicker(n.interval)
	defer tick.Stop()
	var last error
	for {
		if err := alive(); err == nil {
			last = n.send("WATCHDOG=1")
		} else {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}

func (n *Notifier) send(state string) (err error) {
	if n.socket == "" {
		return nil
	}
	name := n.socket
	if strings.HasPrefix(name, "@") {
		name = "\x00" + name[1:] // abstract socket
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	return err
}
