package appliance

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"deskbridge/bridge"
	"deskbridge/ivr"
	"deskbridge/media"
	"deskbridge/whatsapp"
)

// promptsFolder, below data_dir, holds recordings that replace the built-in prompts.
const promptsFolder = "prompts"

// buildMenus makes the voice. A broken upload costs only itself.
func (a *App) buildMenus() error {
	log := a.log.With("part", "ivr")
	synth, err := ivr.FindEspeak()
	var voice ivr.Synthesizer = synth
	if err != nil {
		log.Info("espeak-ng is not installed: menus say customers' numbers instead of their names")
		voice = nil
	}
	if a.prompts, err = ivr.NewLibrary(voice, log); err != nil {
		return err
	}
	folder := filepath.Join(a.cfg.DataDir, promptsFolder)
	if _, err := os.Stat(folder); err == nil {
		if err := a.prompts.Load(os.DirFS(folder)); err != nil {
			log.Error("some recordings of prompts cannot be used; the built-in ones are", "folder", folder, "err", err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		log.Error("the recordings of prompts cannot be read; the built-in ones are used", "folder", folder, "err", err)
	}
	a.menus = ivr.New(ivr.Config{Library: a.prompts, Logger: log, Registerer: a.registry})
	a.onStop("menus", a.menus.Stop)
	return nil
}

// agents are the phones as the front desk sees them.
type agents struct{ a *App }

// Target implements frontdesk.Phones.
func (g agents) Target(name string) (bridge.Target, bool) { return g.a.plan.plant.Load().target(name) }

// RingMenu implements frontdesk.Phones.
func (g agents) RingMenu(agent string, c bridge.Customer, to string, later func(context.Context) ivr.Outcome) bridge.Target {
	who := g.a.plan.plant.Load().caller(bridge.Offer{Peer: strings.SplitN(agent, "/", 2)[0]})
	return g.a.plan.menu(ivr.RingMeMenu(who.language, c, to, later))[0]
}

// Summon implements frontdesk.Phones.
func (g agents) Summon(s bridge.Summons) string { return g.a.exchange.Summon(s) }

// Calls implements frontdesk.Phones.
func (g agents) Calls(line string) int {
	n := 0
	for _, c := range g.a.exchange.Calls() {
		if c.CDR.Line == line {
			n++
		}
	}
	return n
}

// Busy implements frontdesk.Phones.
func (g agents) Busy(agent string) bool {
	for _, c := range g.a.exchange.Calls() {
		if c.CDR.Agent == agent && c.CDR.EndedAt.IsZero() {
			return true
		}
	}
	return false
}

// ears hand what webhooks tell to the front desk.
type ears struct{ a *App }

// Heard implements whatsapp.Listener.
func (e ears) Heard(ctx context.Context, h whatsapp.Heard) error {
	return e.a.desk.Heard(ctx, h.Line, h.Customer, h.Event)
}

// ledger is the store, and tells the front desk of the calls that reached a customer, and of agents who are free again.
type ledger struct{ a *App }

// Record implements bridge.Ledger.
func (l ledger) Record(ctx context.Context, f bridge.Fact) error {
	err := l.a.store.Record(ctx, f)
	switch c := f.CDR; {
	case f.Kind == bridge.FactAnswered && !c.AnsweredAt.IsZero() && c.Customer.ID != "":
		l.a.desk.Completed(ctx, c.Line, c.Customer.ID, c.ID, f.At)
	case f.Kind == bridge.FactEnded && c.Customer.ID != "":
		l.a.desk.CallEnded(c.Line, c.Customer)
	case f.Kind == bridge.FactEnded, f.Kind == bridge.FactRefused:
		l.a.desk.Look()
	}
	return err
}

// ringback is what an agent hears whose customer's phone rings when the agent's call was answered already (425 Hz, one second
// in five: ITU-T E.180, as most countries have it).
func ringback(dst media.Stream) func() {
	const rate = 16000
	pcm := append(media.Tone(425, rate, time.Second), make([]int16, 4*rate)...)
	p, err := media.NewPlayer(dst, pcm, rate, true)
	if err != nil {
		return func() {}
	}
	p.Start()
	return p.Stop
}
