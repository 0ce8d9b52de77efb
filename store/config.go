package store

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is how to open a store. Dir and Key are required.
type Config struct {
	Dir string // Badger's files, the ballast and the probe; made if missing
	Key []byte // appliance key, 32 bytes: LoadOrCreateKey

	Logger     *slog.Logger          // default: discard
	Registerer prometheus.Registerer // default: none
	Clock      func() time.Time      // wall clock; default time.Now

	// OnLevel is told of every change of the disk's level, from the guard's goroutine: it must not block.
	OnLevel func(Level)

	Limits Limits

	// Statfs measures the disk; default statfs(2) on Dir. For tests.
	Statfs func(dir string) (Space, error)
}

// Limits are the numbers of the disk guards; zero values take the defaults.
type Limits struct {
	Low     int64 // below: optional writes refused. 1 GiB
	Tight   int64 // below: everything but call facts, customers and webhooks refused. 256 MiB
	Full    int64 // below: those too; call facts stay in memory. 64 MiB
	Ballast int64 // size of the file that pays for unfinished work when space ends. 128 MiB; negative: none

	Poll       time.Duration // how often the disk is looked at. 1 s
	Probe      time.Duration // how often a small synced write proves that it answers. 5 s
	Stuck      time.Duration // a write that takes longer means stuck. 10 s: with Probe, the alarm is up within 15 s
	Journal    int           // call facts and customers kept in memory while the disk is full or stuck. 20,000
	DedupeKeep time.Duration // how long an inbox key is remembered after Done. 9 days (Meta redelivers up to 7)
}

// Space is what a file system has left.
type Space struct {
	Free     int64 // bytes available to us
	ReadOnly bool
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Statfs == nil {
		c.Statfs = statfs
	}
	if c.OnLevel == nil {
		c.OnLevel = func(Level) {}
	}
	c.Limits = c.Limits.withDefaults()
	return c
}

func (l Limits) withDefaults() Limits {
	set(&l.Low, 1<<30)
	set(&l.Tight, 256<<20)
	set(&l.Full, 64<<20)
	set(&l.Ballast, 128<<20)
	set(&l.Poll, time.Second)
	set(&l.Probe, 5*time.Second)
	set(&l.Stuck, 10*time.Second)
	set(&l.Journal, 20_000)
	set(&l.DedupeKeep, 9*24*time.Hour)
	return l
}

func set[T int | int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}
