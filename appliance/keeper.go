package appliance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"deskbridge/bridge"
	"deskbridge/frontdesk"
	"deskbridge/graph"
	"deskbridge/recorder"
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
// keep the daemon from coming up: late is true then, and readLate waits for the disk.
func (k *keeper) load(ctx context.Context) (late bool, err error) {
	err = k.read(ctx)
	if err == nil || !errors.Is(err, store.ErrUnavailable) {
		return false, err
	}
	k.app.log.Error("the settings cannot be read yet: no line or phone works until the data disk has space", "err", err)
	return true, nil
}

// readLate returns true when the disk let the settings be read and they are in force, false when ctx ended first or they
// cannot be used.
func (k *keeper) readLate(ctx context.Context) bool {
	again := time.NewTicker(5 * time.Second)
	defer again.Stop()
	for {
		select {
		case <-k.app.levels:
		case <-again.C:
		case <-ctx.Done():
			return false
		}
		err := k.read(ctx)
		if err == nil {
			return true
		}
		if !errors.Is(err, store.ErrUnavailable) {
			k.app.log.Error("the settings cannot be put in force", "err", err)
			return false
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
	s.complete() // what an older version stored lacks newer options
	if err := s.Resolve(); err != nil {
		k.app.log.Warn("a secret could not be read again; its last known value stays in use", "err", err)
	}
	next, err := k.build(s)
	if err != nil {
		return err
	}
	return k.swap(next)
}

// Apply implements SettingsKeeper.
func (k *keeper) Apply(ctx context.Context, next *Settings) error {
	next.complete()
	if err := next.Validate(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.apply(ctx, next)
}

// apply is Apply for who holds mu and has validated.
func (k *keeper) apply(ctx context.Context, next *Settings) error {
	data, err := next.Freeze()
	if err != nil {
		return err
	}
	ready, err := k.build(next)
	if err != nil {
		return err
	}
	version, err := k.app.store.PutSettings(ctx, data, k.version)
	if err != nil {
		return fmt.Errorf("the settings could not be stored, the old ones stay in force: %w", err)
	}
	if err := k.swap(ready); err != nil {
		return err
	}
	k.version = version
	k.app.log.Info("settings in force", "version", version, "lines", len(next.Lines), "trunks", len(next.Trunks), "phones", len(next.Phones))
	return nil
}

// built is everything of one version of the settings that can fail to be made.
type built struct {
	settings *Settings
	sip      sip.Settings
	lines    map[string]callLine
	list     []*whatsapp.Line
	clients  []*graph.Client
	desk     []frontdesk.LineConfig
	archive  *recorder.Archive
}

func (k *keeper) build(s *Settings) (*built, error) {
	b := &built{settings: s, sip: sipSettings(s), lines: map[string]callLine{}}
	if err := b.sip.Validate(); err != nil {
		return nil, err
	}
	var err error
	if b.archive, err = buildArchive(s); err != nil {
		return nil, err
	}
	for _, l := range s.Lines {
		client := graph.NewClient(graph.ClientConfig{
			BaseURL: firstOf(l.GraphBaseURL, k.app.cfg.Graph.BaseURL), Version: k.app.cfg.Graph.Version,
			Token: graph.NewSecret(l.AccessToken.Reveal()), AppSecret: graph.NewSecret(l.AppSecret.Reveal()),
			Registerer: k.app.registry, Logger: k.app.log.With("part", "graph"), Now: k.app.opt.Now,
		})
		line, err := whatsapp.NewLine(whatsapp.LineConfig{
			ID: l.ID, PhoneNumberID: l.PhoneNumberID, Account: l.WABAID, DisplayNumber: l.DisplayNumber,
			AppSecret: graph.NewSecret(l.AppSecret.Reveal()), VerifyToken: graph.NewSecret(l.VerifyToken.Reveal()),
			Graph: client, Hub: k.app.hub,
		})
		if err != nil {
			return nil, err
		}
		desk, err := s.desk(l, line)
		if err != nil {
			return nil, err
		}
		b.desk = append(b.desk, desk)
		b.clients = append(b.clients, client)
		b.lines[l.ID] = line
		b.list = append(b.list, line)
	}
	return b, nil
}

// swap puts what was built in force. It fails only when the appliance is stopping.
func (k *keeper) swap(b *built) error {
	if err := k.app.sip.Apply(b.sip); err != nil {
		return err
	}
	k.app.webhook.SetLines(b.list...)
	k.app.desk.SetLines(b.desk)
	k.app.plan.plant.Store(k.plant(b.settings, b.lines))
	k.app.recordings.apply(b.settings, b.archive)
	for _, c := range k.clients {
		c.Close() // idle connections only: calls in progress keep their client
	}
	k.settings, k.clients = b.settings, b.clients
	return nil
}

func (k *keeper) stop(context.Context) error {
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
		settings: s, codes: s.featureCodes(), lines: lines,
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
// call. Which line a call is for is the dial plan's to say: a code or a prefix may go before the number.
func sipSettings(s *Settings) sip.Settings {
	var out sip.Settings
	for _, t := range s.Trunks {
		if !t.Enabled {
			continue
		}
		out.Trunks = append(out.Trunks, sip.TrunkConfig{
			Name: t.Name, Host: t.Host, Port: t.Port, Transport: t.Transport, Addresses: t.Networks(), Register: t.Register,
			Domain: t.Domain, Username: t.Username, AuthUser: t.AuthUser, Password: sip.Secret(t.Password.Reveal()), Expires: t.Expires,
			Codecs: t.MediaCodecs(), PTime: t.PTime, DialPattern: dialPattern(t),
		})
	}
	for _, p := range s.Phones {
		if !p.Enabled {
			continue
		}
		out.Phones = append(out.Phones, sip.PhoneConfig{
			User: p.Extension, Password: sip.Secret(p.Password.Reveal()), Codecs: p.MediaCodecs(), PTime: p.PTime,
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
