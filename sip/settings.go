package sip

import (
	"context"
	"fmt"
	"reflect"
	"sync"
)

// Apply puts new settings in force. A trunk that did not change keeps its registration; running calls keep what they
// began with. A bad setting leaves everything as it is.
func (e *Endpoint) Apply(s Settings) error {
	if err := s.Validate(); err != nil {
		return fmt.Errorf("sip settings: %w", err)
	}
	e.applyMu.Lock()
	defer e.applyMu.Unlock()
	e.life.Lock()
	open := e.open
	e.life.Unlock()
	if !open {
		return ErrStopped
	}
	old := e.view.Load()
	next := &view{byName: map[string]*Trunk{}, phones: map[string]*Phone{}}
	var fresh []*Trunk
	for _, c := range s.Trunks {
		c = c.withDefaults()
		t := old.byName[c.Name]
		if t == nil || !reflect.DeepEqual(t.cfg, c) {
			t = newTrunk(e, c)
			fresh = append(fresh, t)
		}
		next.trunks = append(next.trunks, t)
		next.byName[c.Name] = t
	}
	for _, c := range s.Phones {
		c = c.withDefaults()
		p := old.phones[c.User]
		if p == nil || !reflect.DeepEqual(p.cfg, c) {
			if p != nil && p.cfg.Password != c.Password {
				e.registrar.drop(c.User) // whoever knew only the old password is out
			}
			p = &Phone{e: e, cfg: c}
		}
		next.phones[c.User] = p
	}
	e.view.Store(next)
	for user := range old.phones {
		if next.phones[user] == nil {
			e.registrar.drop(user)
		}
	}
	e.retire(old, next)
	for _, t := range fresh {
		t.start()
	}
	return nil
}

// retire stops trunks no longer in force, side by side: each may wait for the answer to its last REGISTER.
func (e *Endpoint) retire(old, next *view) {
	var wg sync.WaitGroup
	for _, t := range old.trunks {
		if next.byName[t.cfg.Name] != t {
			wg.Go(func() { t.stop(context.Background()) })
			if next.byName[t.cfg.Name] == nil {
				e.metrics.trunkUp.DeleteLabelValues(t.cfg.Name)
				e.metrics.trunkRTT.DeleteLabelValues(t.cfg.Name)
			}
		}
	}
	wg.Wait()
}

func (e *Endpoint) stopTrunks(ctx context.Context) {
	e.applyMu.Lock()
	defer e.applyMu.Unlock()
	var wg sync.WaitGroup
	for _, t := range e.view.Load().trunks {
		wg.Go(func() { t.stop(ctx) })
	}
	wg.Wait()
}
