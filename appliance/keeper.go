package appliance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/sip"
	"deskbridge/store"
	"deskbridge/whatsapp"
)

// keeper holds the settings in force. A change is built as a whole, stored, then swapped in; whatever fails before the
// swap leaves the old settings running.
type keeper struct {
	app *App

	mu       sync.Mutex
	settings *Settings
	version  uint64
	clients  []*graph.Client

	cancel context.CancelFunc // ends readLate, nil when it never ran
	late   chan struct{}
}

func newKeeper(a *App) *keeper {
	k := &keeper{app: a, settings: &Settings{}}
	a.plan.plant.Store(k.plant(k.settings, nil))
	return k
}

var _ SettingsKeeper = (*keeper)(nil)

// Settings implements SettingsKeeper.
func (k *keeper) Settings() *Settings {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.settings
}

// load puts the stored settings in force at the start. A store that is not open yet, because the disk was full, must not
// keep the daemon from coming up: then they are read when the disk has changed for the better.
func (k *keeper) load(ctx context.Context) error {
	err := k.read(ctx)
	if err == nil || !errors.Is(err, store.ErrUnavailable) {
		return err
	}
	k.app.log.Error("the settings cannot be read yet: no line or phone works until the data disk has space", "err", err)
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k.cancel, k.late = cancel, make(chan struct{})
	go k.readLate(life)
	return nil
}

func (k *keeper) readLate(ctx context.Context) {
	defer close(k.late)
	for {
		select {
		case <-k.app.levels:
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
			return
		}
		err := k.read(ctx)
		if err == nil {
			return
		}
		if !errors.Is(err, store.ErrUnavailable) {
			k.app.log.Error("the settings cannot be put in force", "err", err)
			return
		}
	}
}

func (k *keeper) read(ctx context.Context) error {
	data, version, err := k.app.store.Settings(ctx)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.version > 0 {
		return nil // somebody applied newer ones meanwhile
	}
	k.version = version
	if version == 0 {
		k.app.log.Info("no settings yet; load some with: deskbridge settings apply -f FILE")
		return nil
	}
	s, err := ThawSettings(data)
	if err != nil {
		return err
	}
	if err := s.Resolve(); err != nil {
		k.app.log.Warn("a secret could not be read again; its last known value stays in use", "err", err)
	}
	return k.swap(s)
}

// Apply implements SettingsKeeper.
func (k *keeper) Apply(ctx context.Context, next *Settings) error {
	if err := next.Validate(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	data, err := next.Freeze()
	if err != nil {
		return err
	}
	before := k.settings
	if err := k.swap(next); err != nil {
		return err
	}
	version, err := k.app.store.PutSettings(ctx, data, k.version)
	if err != nil {
		return errors.Join(fmt.Errorf("the settings could not be stored, the old ones stay in force: %w", err), k.swap(before))
	}
	k.version = version
	k.app.log.Info("settings in force", "version", version, "lines", len(next.Lines), "trunks", len(next.Trunks), "phones", len(next.Phones))
	return nil
}

// swap builds everything that can fail, then puts it in force.
func (k *keeper) swap(s *Settings) error {
	lines := map[string]callLine{}
	list := make([]*whatsapp.Line, 0, len(s.Lines))
	var clients []*graph.Client
	for _, l := range s.Lines {
		client := graph.NewClient(graph.ClientConfig{
			BaseURL: firstOf(l.GraphBaseURL, k.app.cfg.Graph.BaseURL), Version: k.app.cfg.Graph.Version,
			Token: graph.NewSecret(l.AccessToken.Reveal()), AppSecret: graph.NewSecret(l.AppSecret.Reveal()),
			Registerer: k.app.registry, Logger: k.app.log.With("part", "graph"),
		})
		clients = append(clients, client)
		line, err := whatsapp.NewLine(whatsapp.LineConfig{
			ID: l.ID, PhoneNumberID: l.PhoneNumberID, DisplayNumber: l.DisplayNumber,
			AppSecret: graph.NewSecret(l.AppSecret.Reveal()), VerifyToken: graph.NewSecret(l.VerifyToken.Reveal()),
			Graph: client, Hub: k.app.hub,
		})
		if err != nil {
			return err
		}
		lines[l.ID] = line
		list = append(list, line)
	}
	if err := k.app.sip.Apply(sipSettings(s)); err != nil {
		return err
	}
	k.app.webhook.SetLines(list...)
	k.app.plan.plant.Store(k.plant(s, lines))
	for _, c := range k.clients {
		c.Close() // idle connections only: calls in progress keep their client
	}
	k.settings, k.clients = s, clients
	return nil
}

func (k *keeper) stop(context.Context) error {
	if k.cancel != nil {
		k.cancel()
		<-k.late
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.clients {
		c.Close()
	}
	return nil
}

func (k *keeper) plant(s *Settings, lines map[string]callLine) *plant {
	endpoint := k.app.sip
	return &plant{
		settings: s, lines: lines,
		phone: func(extension string) bridge.Dialer {
			if p, ok := endpoint.Phone(extension); ok {
				return p
			}
			return nil
		},
		trunk: func(name string) bridge.Dialer {
			if t, ok := endpoint.Trunk(name); ok {
				return t
			}
			return nil
		},
	}
}

// sipSettings are the settings as package sip wants them. What is switched off is left out: it can neither be rung nor
// call.
func sipSettings(s *Settings) sip.Settings {
	var out sip.Settings
	for _, t := range s.Trunks {
		if !t.Enabled {
			continue
		}
		out.Trunks = append(out.Trunks, sip.TrunkConfig{
			Name: t.Name, Host: t.Host, Port: t.Port, Transport: t.Transport, Addresses: t.Networks(), Register: t.Register,
			Domain: t.Domain, Username: t.Username, AuthUser: t.AuthUser, Password: sip.Secret(t.Password.Reveal()), Expires: t.Expires,
			Codecs: t.MediaCodecs(), PTime: t.PTime, DialPattern: dialPattern(t), Line: t.Line,
		})
	}
	for _, p := range s.Phones {
		if !p.Enabled {
			continue
		}
		out.Phones = append(out.Phones, sip.PhoneConfig{
			User: p.Extension, Password: sip.Secret(p.Password.Reveal()), Codecs: p.MediaCodecs(), PTime: p.PTime, Line: p.Line,
		})
	}
	return out
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// dialPattern writes a trunk's internal numbers the way package sip reads them: X for any digit.
func dialPattern(t Trunk) string { return strings.ToUpper(strings.Join(t.Extensions, ",")) }
