package policy

import "time"

// Pack is the public holidays of a country and year, as decreed.
type Pack struct {
	ID      string    `json:"id"` // "id-2026"
	Country string    `json:"country"`
	Year    int       `json:"year"`
	Source  string    `json:"source"`
	Note    string    `json:"note,omitempty"`
	Days    []PackDay `json:"days"`
}

// PackDay is one date of a pack.
type PackDay struct {
	Date    string `json:"date"`
	Name    string `json:"name"`            // in the country's language
	English string `json:"english"`         // in English
	Joint   bool   `json:"joint,omitempty"` // cuti bersama: collective leave, which a company may work through
}

// Packs are the holiday packs that come with the program, by ID.
func Packs() []Pack { return nil }

// Holidays are the days of a pack as closed holidays; joint says whether collective leave is among them.
func (p Pack) Holidays(joint bool) []Holiday { return nil }

// ParseICS reads the events of a calendar file (RFC 5545) as closed holidays, those that fall between from and to
// (inclusive, dates in loc), by date. An event closes every date it touches; times are read in loc where the file names no zone.
func ParseICS(data []byte, loc *time.Location, from, to time.Time) ([]Holiday, error) {
	return nil, nil
}
