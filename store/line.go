package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// LineState is what happened to a line beside its settings: what people and Meta did to it.
type LineState struct {
	Line string `json:"line"`
	// Override opens or closes the line whatever its hours say; nil: none.
	Override     *HoursOverride  `json:"override,omitempty"`
	Restrictions []Restriction   `json:"restrictions,omitempty"`
	Settings     json.RawMessage `json:"settings,omitempty"` // Meta's, as it last told them
	SettingsAt   time.Time       `json:"settings_at,omitzero"`
	Quality      string          `json:"quality,omitempty"` // Meta's word
	QualityAt    time.Time       `json:"quality_at,omitzero"`
	Version      uint64          `json:"version,omitempty"`
}

// HoursOverride opens or closes a line until a time.
type HoursOverride struct {
	Open  bool      `json:"open"`
	Until time.Time `json:"until,omitzero"` // zero: until it is taken back
	By    string    `json:"by"`
	At    time.Time `json:"at"`
}

// Restriction is something Meta forbids the line for a time.
type Restriction struct {
	Kind  string    `json:"kind"` // Meta's name
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"` // zero: Meta gave none
}

func (l *LineState) id() string         { return l.Line }
func (l *LineState) who() *string       { return nil }
func (l *LineState) private() []*string { return nil }
func (l *LineState) rev() *uint64       { return &l.Version }
func (l *LineState) about() []string    { return nil }

// The facts of a line; each carries the line's state as it stands after it.
const (
	factLineOverride   = "line.override"
	factLineRestricted = "line.restricted"
	factLineSettings   = "line.settings"
	factLineQuality    = "line.quality"
)

var lineRows = rows[LineState, *LineState]{table: tabLine, noun: "line",
	kinds: []string{factLineOverride, factLineRestricted, factLineSettings, factLineQuality}}

const (
	maxLineSettings = 128 << 10
	maxRestrictions = 32
)

// SetLineOverride opens or closes a line by hand; nil takes it back.
func (s *Store) SetLineOverride(ctx context.Context, line string, o *HoursOverride, at time.Time) (LineState, error) {
	return s.editLine(ctx, line, factLineOverride, at, func(l *LineState) {
		l.Override = o
	})
}

// SetLineRestrictions replaces what Meta forbids the line; none lifts all.
func (s *Store) SetLineRestrictions(ctx context.Context, line string, rs []Restriction, at time.Time) (LineState, error) {
	if len(rs) > maxRestrictions {
		return LineState{}, fmt.Errorf("line %s: %w: %d restrictions", line, ErrTooLarge, len(rs))
	}
	return s.editLine(ctx, line, factLineRestricted, at, func(l *LineState) {
		l.Restrictions = slices.Clone(rs)
	})
}

// SetLineSettings keeps the settings that Meta told, as JSON. They are stored open: no passwords in them.
func (s *Store) SetLineSettings(ctx context.Context, line string, settings json.RawMessage, at time.Time) (LineState, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, settings); err != nil || compact.Len() > maxLineSettings {
		return LineState{}, fmt.Errorf("line %s: %w: settings aren't JSON of at most %d bytes", line, ErrInvalid, maxLineSettings)
	}
	return s.editLine(ctx, line, factLineSettings, at, func(l *LineState) {
		if !bytes.Equal(l.Settings, compact.Bytes()) {
			l.Settings, l.SettingsAt = compact.Bytes(), at
		}
	})
}

// SetLineQuality keeps Meta's word about the line's quality.
func (s *Store) SetLineQuality(ctx context.Context, line, quality string, at time.Time) (LineState, error) {
	return s.editLine(ctx, line, factLineQuality, at, func(l *LineState) {
		if l.Quality != shown(quality) {
			l.Quality, l.QualityAt = shown(quality), at
		}
	})
}

// editLine appends a fact only when fn changed something.
func (s *Store) editLine(ctx context.Context, line, kind string, at time.Time, fn func(*LineState)) (LineState, error) {
	out, _, err := lineRows.edit(ctx, s, edit{classInbox, line, at}, func(_ *tx, l *LineState, _ bool) (string, error) {
		before, _, err := lineRows.split(*l)
		if err != nil {
			return "", err
		}
		l.Line = line
		fn(l)
		after, _, err := lineRows.split(*l)
		if err != nil || bytes.Equal(before, after) {
			return "", err
		}
		return kind, nil
	})
	return out, err
}

// LineState is what is kept of one line; nothing yet: the zero state.
func (s *Store) LineState(ctx context.Context, line string) (l LineState, err error) {
	l.Line = line
	err = s.view(ctx, func(t *tx) error { return lineRows.loadInto(t, line, &l) })
	return l, err
}

// LineStates are those of all lines that have one, by name.
func (s *Store) LineStates(ctx context.Context) (all []LineState, err error) {
	err = s.view(ctx, func(t *tx) error {
		all, err = lineRows.all(ctx, t)
		return err
	})
	return all, wrap(err, "line states")
}
